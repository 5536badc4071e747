package io.reflux.bench.train;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.trainer.nn.Torch;
import java.io.PrintWriter;

/** A training step against an ordinary trainer's, and against what the machine can do. */
public final class TrainBenchmark implements Benchmark {
  /** 12 million weights, most of them in the head: where the loss tells most. */
  private static final String LEAN = "hidden=256,layers=4,heads=8,kv-heads=4,ffn=704";

  /** 25 million weights. */
  private static final String STUDENT = "hidden=384,layers=8,heads=6,kv-heads=3,ffn=1024";

  private static final int VOCABULARY = 32_000;

  private final Size chosen;

  /** How much to measure. */
  record Size(WholeStep.Size step, Utilisation.Size utilisation, Growth.Size growth) {
    static final Size FULL =
        new Size(
            new WholeStep.Size(LEAN, VOCABULARY, 16, 512, 96, 5, 3),
            Utilisation.Size.of(STUDENT, VOCABULARY, 16, 256, 7),
            new Growth.Size(STUDENT, VOCABULARY, 256, 2048, 400));

    static final Size QUICK =
        new Size(
            new WholeStep.Size(LEAN, VOCABULARY, 8, 256, 64, 1, 1),
            Utilisation.Size.of(STUDENT, VOCABULARY, 4, 256, 2),
            new Growth.Size("hidden=192,layers=6,heads=6,kv-heads=3,ffn=512", 4096, 256, 192, 200));
  }

  public TrainBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  TrainBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "train";
  }

  @Override
  public String description() {
    return "a training step against an ordinary trainer's: time, memory; GEMM share; largest batch";
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    int threads = Runtime.getRuntime().availableProcessors();
    Result.Builder result = new Result.Builder(name());
    result.condition("libtorch", Torch.version());
    try (WorkFolder folder = WorkFolder.create("reflux-bench-train-")) {
      Probes probes = new Probes(folder.path(), threads);
      WholeStep step = new WholeStep(size.step(), threads, result, progress);
      step.memory(probes);
      step.time(folder.path());
      Utilisation.measure(size.utilisation(), threads, result, progress);
      new Growth(size.growth(), probes, progress).measure(result);
    }
    return result.build();
  }
}
