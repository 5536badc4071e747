package io.reflux.bench;

import java.io.PrintWriter;
import java.util.Set;

/** One named measurement. */
public interface Benchmark {
  /** As in {@code reflux bench NAME}. */
  String name();

  /** One line for {@code reflux bench --list}. */
  String description();

  /** What it can be told beside {@code --quick} and {@code --seed}. */
  default Set<BenchmarkOption> options() {
    return Set.of();
  }

  /**
   * Measures. The same seed gives the same inputs.
   *
   * @param options those that {@link #options} does not name are not looked at
   * @param progress what to show while it works
   */
  Result run(BenchmarkOptions options, PrintWriter progress) throws Exception;
}
