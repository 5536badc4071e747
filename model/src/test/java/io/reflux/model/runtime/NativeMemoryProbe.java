package io.reflux.model.runtime;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.Scanner;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/** Opens and closes models over and over, and prints by how many bytes the process has grown. */
final class NativeMemoryProbe {
  static final Path STATM = Path.of("/proc/self/statm");
  private static final long PAGE_BYTES = 4096;

  private NativeMemoryProbe() {}

  public static void main(String[] args) throws Exception {
    // Sessions of some 20 MiB each: fifty that leaked would stand out by a gigabyte.
    ModelConfig config =
        new ModelConfig(
            Architecture.LLAMA,
            4096,
            256,
            512,
            2,
            4,
            2,
            64,
            128,
            1e-5,
            10_000,
            null,
            true,
            false,
            false,
            OptionalInt.empty(),
            OptionalInt.of(0),
            List.of(1));
    Weights floats = RandomModel.weights(config, 1);
    Weights bytes = Quantiser.of(WeightFormat.INT8).quantise(config, floats);
    // The allocator's arenas fill up at first.
    for (int i = 0; i < 10; i++) {
      useOnce(config, i % 2 == 0 ? floats : bytes);
    }
    long before = resident();
    for (int i = 0; i < 50; i++) {
      useOnce(config, i % 2 == 0 ? floats : bytes);
    }
    System.out.println("growth=" + (resident() - before));
  }

  private static void useOnce(ModelConfig config, Weights weights) throws Exception {
    try (Scorer scorer = new Scorer(config, weights, 8, RuntimeOptions.DEFAULT);
        GenerationEngine engine =
            new GenerationEngine(
                config, weights, new EngineOptions(4, 64), RuntimeOptions.DEFAULT)) {
      scorer.score(List.of(ScoreRequest.of(new int[] {1, 2, 3, 4}, 1)));
      engine
          .submit(
              new GenerationRequest(new int[] {1, 2, 3}, 3, SamplingOptions.GREEDY, Set.of(), 0),
              null)
          .result()
          .get(30, TimeUnit.SECONDS);
    }
  }

  private static long resident() throws IOException {
    // The caches' direct buffers go with the collector; the question is what native code keeps.
    System.gc();
    return new Scanner(Files.readString(STATM)).skip("\\d+ ").nextLong() * PAGE_BYTES;
  }
}
