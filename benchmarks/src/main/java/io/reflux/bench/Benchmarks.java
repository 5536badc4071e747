package io.reflux.bench;

import io.reflux.bench.compress.CompressBenchmark;
import io.reflux.bench.delta.DeltaBenchmark;
import io.reflux.bench.kills.ScoreKillsBenchmark;
import io.reflux.bench.kills.TrainKillsBenchmark;
import io.reflux.bench.labels.LabelFuzzBenchmark;
import io.reflux.bench.labels.LabelsBenchmark;
import io.reflux.bench.prune.PruneBenchmark;
import io.reflux.bench.recipe.RecipeBenchmark;
import io.reflux.bench.score.ScoreBenchmark;
import io.reflux.bench.serve.ServeBenchmark;
import io.reflux.bench.soak.SoakBenchmark;
import io.reflux.bench.swap.SwapBenchmark;
import io.reflux.bench.train.TrainBenchmark;
import java.util.List;

/** Every benchmark of this build. */
public final class Benchmarks {
  private Benchmarks() {}

  /** In the order that {@code reflux bench --list} shows. */
  public static List<Benchmark> all() {
    return List.of(
        new ModelBenchmark(),
        new LabelsBenchmark(),
        new LabelFuzzBenchmark(),
        new ScoreBenchmark(),
        new ScoreKillsBenchmark(),
        new TrainKillsBenchmark(),
        new TrainBenchmark(),
        new RecipeBenchmark(),
        new CompressBenchmark(),
        new PruneBenchmark(),
        new ServeBenchmark(),
        new SwapBenchmark(),
        new SoakBenchmark(),
        new DeltaBenchmark());
  }
}
