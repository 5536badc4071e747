package io.reflux.model.evaluate;

import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scores;
import java.util.function.IntToDoubleFunction;

/** What the scoring graph says of a sequence, from logits that some other graph gave. */
final class LogitScores {
  private LogitScores() {}

  /**
   * The likeliest id alone, and the ids that are asked for.
   *
   * @param request at temperature 1
   * @param logits [tokens, vocabulary], for each token's successor
   */
  static Scores of(ScoreRequest request, float[] logits) {
    int[] ids = request.tokenIds();
    int vocabulary = logits.length / ids.length;
    int rows = request.rows();
    int support = request.supportSize();
    int[] topIds = new int[rows];
    float[] topLogprobs = new float[rows];
    float[] tail = new float[rows];
    float[] token = new float[rows];
    float[] entropy = new float[rows];
    float[] named = new float[rows * support];
    for (int row = 0; row < rows; row++) {
      int position = request.firstPosition() + row;
      int start = (position - 1) * vocabulary;
      int best = 0;
      for (int id = 1; id < vocabulary; id++) {
        if (logits[start + id] > logits[start + best]) {
          best = id;
        }
      }
      int likeliest = best;
      double top = logits[start + likeliest];
      double others =
          sum(vocabulary, id -> id == likeliest ? 0 : Math.exp(logits[start + id] - top));
      double logSum = top + Math.log1p(others);
      topIds[row] = likeliest;
      topLogprobs[row] = (float) (top - logSum);
      tail[row] = (float) (Math.log(others) + top - logSum);
      token[row] = (float) (logits[start + ids[position]] - logSum);
      entropy[row] =
          (float)
              -sum(
                  vocabulary,
                  id -> {
                    double logprob = logits[start + id] - logSum;
                    return Math.exp(logprob) * logprob;
                  });
      for (int i = 0; i < support; i++) {
        int id = request.supportIds()[row * support + i];
        named[row * support + i] = (float) (logits[start + id] - logSum);
      }
    }
    return new Scores(rows, 1, topIds, topLogprobs, tail, token, entropy, named);
  }

  private static double sum(int count, IntToDoubleFunction term) {
    double sum = 0;
    for (int i = 0; i < count; i++) {
      sum += term.applyAsDouble(i);
    }
    return sum;
  }
}
