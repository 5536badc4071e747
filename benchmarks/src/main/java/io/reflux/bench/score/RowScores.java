package io.reflux.bench.score;

import io.reflux.model.runtime.Scores;
import java.nio.FloatBuffer;

/** Top k, tail mass and entropy of logits, in Java: one copy and two passes a row. */
final class RowScores {
  private final int vocabulary;
  private final int k;
  private final float[] row;
  // A heap whose root is the least of the k largest so far.
  private final float[] heap;
  private final int[] heapIds;

  private RowScores(int vocabulary, int k) {
    this.vocabulary = vocabulary;
    this.k = k;
    this.row = new float[vocabulary];
    this.heap = new float[k];
    this.heapIds = new int[k];
  }

  /**
   * Scores of every row.
   *
   * @param logits [rows, vocabulary], read from its position on
   * @param targets [rows], the ids that stand there
   */
  static Scores of(FloatBuffer logits, int vocabulary, int k, long[] targets) {
    int rows = targets.length;
    Scores scores =
        new Scores(
            rows,
            k,
            new int[rows * k],
            new float[rows * k],
            new float[rows],
            new float[rows],
            new float[rows],
            new float[0]);
    RowScores worker = new RowScores(vocabulary, k);
    for (int i = 0; i < rows; i++) {
      logits.get(worker.row);
      worker.score(i, (int) targets[i], scores);
    }
    return scores;
  }

  private void score(int at, int target, Scores scores) {
    float max = findLargest();
    float least = heap[0];
    double sum = 0;
    double weighted = 0;
    double tail = 0;
    for (int j = 0; j < vocabulary; j++) {
      double shifted = row[j] - max;
      double exp = Math.exp(shifted);
      sum += exp;
      weighted += shifted * exp;
      tail += row[j] < least ? exp : 0;
    }
    double logSum = Math.log(sum);
    // Ids that tie with the least of the k are outside it too.
    int tied = 0;
    for (int i = 0; i < k; i++) {
      tied += heap[i] == least ? 1 : 0;
    }
    for (int j = 0; j < vocabulary; j++) {
      tied -= row[j] == least ? 1 : 0;
    }
    tail -= tied * Math.exp(least - max);
    for (int i = k - 1; i >= 0; i--) {
      scores.topIds()[at * k + i] = heapIds[0];
      scores.topLogprobs()[at * k + i] = (float) (heap[0] - max - logSum);
      heap[0] = heap[i];
      heapIds[0] = heapIds[i];
      siftDown(i);
    }
    scores.tailLogMass()[at] = (float) (Math.log(tail) - logSum);
    scores.tokenLogprobs()[at] = (float) (row[target] - max - logSum);
    scores.entropy()[at] = (float) (logSum - weighted / sum);
  }

  /** Fills the heap; returns the largest of all. */
  private float findLargest() {
    for (int i = 0; i < k; i++) {
      heap[i] = row[i];
      heapIds[i] = i;
    }
    for (int i = k / 2 - 1; i >= 0; i--) {
      siftDown(i, k);
    }
    for (int j = k; j < vocabulary; j++) {
      if (row[j] > heap[0]) {
        heap[0] = row[j];
        heapIds[0] = j;
        siftDown(0, k);
      }
    }
    float max = heap[0];
    for (int i = 1; i < k; i++) {
      max = Math.max(max, heap[i]);
    }
    return max;
  }

  private void siftDown(int size) {
    siftDown(0, size);
  }

  private void siftDown(int from, int size) {
    int at = from;
    while (true) {
      int child = 2 * at + 1;
      if (child >= size) {
        return;
      }
      if (child + 1 < size && heap[child + 1] < heap[child]) {
        child++;
      }
      if (heap[at] <= heap[child]) {
        return;
      }
      float value = heap[at];
      int id = heapIds[at];
      heap[at] = heap[child];
      heapIds[at] = heapIds[child];
      heap[child] = value;
      heapIds[child] = id;
      at = child;
    }
  }
}
