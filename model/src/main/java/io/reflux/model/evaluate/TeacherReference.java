package io.reflux.model.evaluate;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A teacher's greedy responses, made once, to hold many students against. A greedy response is the
 * teacher's likeliest token at each of its positions, so a student that is shown the response so
 * far agrees where its own likeliest token is the next one.
 */
public final class TeacherReference {
  /** Sequences that are prompted at the same time. */
  static final int SLOTS = 16;

  private static final int BATCH_TOKENS = 4096;
  private static final int BATCH_SEQUENCES = 64;

  private final List<int[]> promptIds;
  private final List<int[]> responses;
  private final RuntimeOptions runtime;

  private TeacherReference(List<int[]> promptIds, List<int[]> responses, RuntimeOptions runtime) {
    this.promptIds = promptIds;
    this.responses = responses;
    this.runtime = runtime;
  }

  /**
   * Lets the teacher answer.
   *
   * @param promptIds each at least one token
   * @param maxTokens longest response
   * @param runtime for the teacher now, and for the students later
   */
  public static TeacherReference prepare(
      LanguageModel teacher, List<int[]> promptIds, int maxTokens, RuntimeOptions runtime) {
    return prepare(teacher, promptIds, maxTokens, SLOTS, runtime);
  }

  static TeacherReference prepare(
      LanguageModel teacher,
      List<int[]> promptIds,
      int maxTokens,
      int slots,
      RuntimeOptions runtime) {
    List<int[]> copies = promptIds.stream().map(int[]::clone).toList();
    return new TeacherReference(
        copies, GreedyResponses.of(teacher, copies, maxTokens, slots, runtime), runtime);
  }

  /** The teacher's responses a prompt, in order, the stop token included when one came. */
  public List<int[]> responses() {
    return responses.stream().map(int[]::clone).toList();
  }

  /**
   * How often a student agrees. It must share the teacher's vocabulary.
   *
   * @throws ModelException if a sequence does not fit the student's vocabulary or positions
   */
  public Agreement agreement(ModelConfig config, Weights student) {
    try (Scorer scorer = new Scorer(config, student, 1, runtime)) {
      return agreement(scorer);
    }
  }

  /**
   * How often a student agrees that is open already.
   *
   * @param student with any number of likeliest ids a row
   */
  public Agreement agreement(Scorer student) {
    // Of like length side by side, since a batch is padded to its longest.
    int[] order =
        IntStream.range(0, promptIds.size())
            .boxed()
            .sorted(Comparator.comparingInt(this::length))
            .mapToInt(Integer::intValue)
            .toArray();
    long positions = 0;
    long agreements = 0;
    int whole = 0;
    int from = 0;
    while (from < order.length) {
      int to = from + 1;
      while (to < order.length
          && to - from < BATCH_SEQUENCES
          && (long) length(order[to]) * (to + 1 - from) <= BATCH_TOKENS) {
        to++;
      }
      List<ScoreRequest> batch = new ArrayList<>();
      for (int i = from; i < to; i++) {
        batch.add(request(order[i]));
      }
      List<Scores> scores = student.score(batch);
      for (int i = from; i < to; i++) {
        int[] response = responses.get(order[i]);
        int agreed = agreed(response, scores.get(i - from));
        positions += response.length;
        agreements += agreed;
        whole += agreed == response.length ? 1 : 0;
      }
      from = to;
    }
    return new Agreement(order.length, positions, agreements, whole);
  }

  private static int agreed(int[] response, Scores scores) {
    int agreed = 0;
    for (int row = 0; row < response.length; row++) {
      agreed += scores.topIds()[row * scores.k()] == response[row] ? 1 : 0;
    }
    return agreed;
  }

  private int length(int index) {
    return promptIds.get(index).length + responses.get(index).length;
  }

  private ScoreRequest request(int index) {
    int[] prompt = promptIds.get(index);
    int[] response = responses.get(index);
    int[] sequence = Arrays.copyOf(prompt, prompt.length + response.length);
    System.arraycopy(response, 0, sequence, prompt.length, response.length);
    return ScoreRequest.of(sequence, prompt.length);
  }
}
