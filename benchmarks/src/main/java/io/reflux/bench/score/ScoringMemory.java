package io.reflux.bench.score;

import io.reflux.bench.ChildJvm;
import io.reflux.bench.Result;
import io.reflux.model.checkpoint.Checkpoints;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/**
 * Peak memory of scoring, in a fresh process each time, as a part of what the logits would take.
 */
final class ScoringMemory {
  private static final List<String> FLAGS = List.of("-Xms64m", "-Xmx2g", "-XX:+UseG1GC");

  private ScoringMemory() {}

  /**
   * What to score.
   *
   * @param runs each way, every one in a process of its own
   */
  record Size(RandomTeachers.Size model, int sequences, int tokens, int k, int runs) {
    double logitsBytes() {
      return (double) sequences * tokens * model.vocabulary() * Float.BYTES;
    }
  }

  static void measure(
      Size size, long seed, Path folder, Result.Builder result, PrintWriter progress)
      throws IOException, InterruptedException {
    ModelConfig config = size.model().config(List.of(0));
    Path model = Files.createDirectories(folder.resolve("memory-model"));
    Checkpoints.save(model, config, RandomModel.weights(config, seed), DType.F32);
    for (int run = 0; run < size.runs(); run++) {
      for (MemoryProbe.Way way : MemoryProbe.Way.values()) {
        progress.printf(
            "memory, %s: run %d of %d%n",
            way.name().toLowerCase(Locale.ROOT).replace('_', ' '), run + 1, size.runs());
        progress.flush();
        long[] beforeAndPeak = probe(way, size, model, folder.resolve(way + "-" + run + ".log"));
        double growth = beforeAndPeak[1] - beforeAndPeak[0];
        String suffix = way == MemoryProbe.Way.IN_GRAPH ? "" : "_copy_out";
        result
            .sample("memory_ratio_128k" + suffix, growth / size.logitsBytes(), "")
            .sample("memory_growth" + suffix, growth / (1 << 20), "MiB")
            .sample("memory_before" + suffix, beforeAndPeak[0] / (double) (1 << 20), "MiB");
      }
    }
  }

  private static long[] probe(MemoryProbe.Way way, Size size, Path model, Path log)
      throws IOException, InterruptedException {
    List<String> arguments =
        List.of(
            way.name(),
            model.toString(),
            Integer.toString(size.sequences()),
            Integer.toString(size.tokens()),
            Integer.toString(size.k()));
    try (ChildJvm child = ChildJvm.start(MemoryProbe.class, FLAGS, arguments, log)) {
      if (!child.awaitEnd(5, TimeUnit.MINUTES) || child.exitCode() != 0) {
        throw new RefluxException("bench: the process that scores failed: " + child.printed());
      }
      return child
          .printed()
          .lines()
          .filter(line -> line.startsWith(MemoryProbe.SAYS + " "))
          .map(line -> line.split(" "))
          .map(words -> new long[] {Long.parseLong(words[1]), Long.parseLong(words[2])})
          .findFirst()
          .orElseThrow(() -> new RefluxException("bench: the process that scores said nothing"));
    }
  }
}
