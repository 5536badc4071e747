package io.reflux.bench.score;

import ai.onnxruntime.OrtException;
import io.reflux.bench.score.BareSession.Inputs;
import io.reflux.bench.score.BareSession.Sequence;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.Checkpoints;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/**
 * A process that loads a model, scores once, and says what its memory grew by meanwhile: resident
 * memory after loading and one tiny batch, and its peak from then on.
 */
final class MemoryProbe {
  /** First word of its one line of output. */
  static final String SAYS = "memory";

  private static final Path STATUS = Path.of("/proc/self/status");
  private static final int WARM_UP_TOKENS = 16;

  private MemoryProbe() {}

  /** Where top-k is found. */
  enum Way {
    IN_GRAPH,
    COPY_OUT
  }

  /**
   * Runs.
   *
   * @param arguments way, directory of the model, sequences, tokens a sequence, k
   */
  public static void main(String[] arguments) throws IOException, OrtException {
    Way way = Way.valueOf(arguments[0]);
    Checkpoint model = Checkpoints.load(Path.of(arguments[1]));
    int sequences = Integer.parseInt(arguments[2]);
    int tokens = Integer.parseInt(arguments[3]);
    int k = Integer.parseInt(arguments[4]);
    if (way == Way.IN_GRAPH) {
      try (Scorer scorer = new Scorer(model.config(), model.weights(), k, RuntimeOptions.DEFAULT)) {
        measure(
            model.config().vocabularySize(),
            sequences,
            tokens,
            batch -> scorer.score(batch.stream().map(s -> ScoreRequest.of(s.ids(), 1)).toList()));
      }
    } else {
      try (CopyOut copyOut = new CopyOut(model.config(), model.weights(), k, CopyOut.Way.PINNED)) {
        int most = CopyOut.mostRows(model.config().vocabularySize()) / tokens;
        measure(
            model.config().vocabularySize(),
            sequences,
            tokens,
            batch -> {
              // As much at a time as a Java buffer can hold.
              for (int from = 0; from < batch.size(); from += most) {
                copyOut.score(Inputs.of(batch.subList(from, Math.min(batch.size(), from + most))));
              }
            });
      }
    }
  }

  private interface Scoring {
    void score(List<Sequence> batch) throws OrtException;
  }

  private static void measure(int vocabulary, int sequences, int tokens, Scoring scoring)
      throws IOException, OrtException {
    Random random = new Random(1);
    scoring.score(batch(random, vocabulary, 1, WARM_UP_TOKENS));
    // What loading left on the heap would make room for what scoring needs, and hide it.
    System.gc();
    // Linux forgets the peak so far: see proc_pid_clear_refs(5).
    Files.writeString(Path.of("/proc/self/clear_refs"), "5");
    long before = kibibytes("VmRSS");
    scoring.score(batch(random, vocabulary, sequences, tokens));
    long peak = kibibytes("VmHWM");
    System.out.println(SAYS + " " + before * 1024 + " " + peak * 1024);
  }

  private static List<Sequence> batch(Random random, int vocabulary, int sequences, int tokens) {
    return Stream.generate(() -> new Sequence(random.ints(tokens, 0, vocabulary).toArray(), 1))
        .limit(sequences)
        .toList();
  }

  private static long kibibytes(String field) throws IOException {
    return Files.readAllLines(STATUS).stream()
        .filter(line -> line.startsWith(field + ":"))
        .map(line -> Long.parseLong(line.replaceAll("\\D", "")))
        .findFirst()
        .orElseThrow(() -> new IOException(STATUS + ": no " + field));
  }
}
