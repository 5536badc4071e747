package io.reflux.bench.serve;

import io.reflux.bench.Result;
import io.reflux.model.gguf.GgufType;
import io.reflux.model.gguf.GgufWriter;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.KeyValueFormat;
import java.nio.file.Path;
import java.util.List;

/** Whether answers are what they should be: llama.cpp's in the same format, and in fewer bits. */
final class Greedy {
  /** Characters of an answer that a failure shows. */
  private static final int SHOWN = 40;

  private Greedy() {}

  /** Greedy texts of both in float32, where both compute the same numbers. */
  static void compare(
      BenchStudent student, List<String> prompts, int tokens, Path folder, Result.Builder result) {
    Path file = folder.resolve("student-f32.gguf");
    GgufWriter.write(file, student.config(), student.weights(), student.text(), GgufType.F32);
    int positions = student.config().maxPositions();
    int equal = 0;
    try (OwnEngine own = new OwnEngine(student, new EngineOptions(1, positions));
        LlamaPeer peer = new LlamaPeer(file, 1, positions, true)) {
      for (String prompt : prompts) {
        String expected = whole(peer.untilEnd(prompt, tokens).text());
        String text = whole(own.untilEnd(prompt, tokens).text());
        if (text.equals(expected)) {
          equal++;
        } else {
          int from = sameBeginning(text, expected);
          result.failure(
              "greedy: '%s' after %d characters of the answer to '%s' (expected: '%s', as llama.cpp)"
                  .formatted(shown(text, from), from, prompt, shown(expected, from)));
        }
      }
    }
    result.count("greedy_equal", equal).count("greedy_compared", prompts.size());
  }

  private static int sameBeginning(String one, String other) {
    int from = 0;
    while (from < Math.min(one.length(), other.length())
        && one.charAt(from) == other.charAt(from)) {
      from++;
    }
    return from;
  }

  private static String shown(String text, int from) {
    return text.substring(from, Math.min(text.length(), from + SHOWN));
  }

  /** Without a character at the end whose other bytes were still to come: one drops it. */
  private static String whole(String text) {
    return text.replaceAll("\\uFFFD+$", "");
  }

  /**
   * What 8-bit keys and values cost: divergence from full ones, token by token while they agree.
   */
  static void keyValues(
      BenchStudent student, List<String> prompts, int tokens, Result.Builder result) {
    EngineOptions full = new EngineOptions(1, student.config().maxPositions());
    double divergence = 0;
    int compared = 0;
    int agreed = 0;
    try (OwnEngine exact = new OwnEngine(student, full);
        OwnEngine few = new OwnEngine(student, full.withKeyValues(KeyValueFormat.INT8))) {
      for (String prompt : prompts) {
        List<Generation.Token> expected = exact.distributions(prompt, tokens).tokens();
        List<Generation.Token> given = few.distributions(prompt, tokens).tokens();
        for (int i = 0; i < tokens; i++) {
          divergence += divergence(expected.get(i), given.get(i));
          compared++;
          if (expected.get(i).id() != given.get(i).id()) {
            break;
          }
          agreed++;
        }
      }
    }
    result
        .sample("kv_int8_kl", divergence / compared, "nats")
        .sample("kv_int8_agreement", (double) agreed / compared, "");
  }

  private static double divergence(Generation.Token expected, Generation.Token given) {
    double[] other = new double[given.topIds().length];
    for (int i = 0; i < other.length; i++) {
      other[given.topIds()[i]] = given.topLogprobs()[i];
    }
    double sum = 0;
    for (int i = 0; i < expected.topIds().length; i++) {
      double logprob = expected.topLogprobs()[i];
      sum += Math.exp(logprob) * (logprob - other[expected.topIds()[i]]);
    }
    return sum;
  }
}
