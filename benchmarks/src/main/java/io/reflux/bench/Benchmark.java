package io.reflux.bench;

import java.io.PrintWriter;

/** One named measurement. */
public interface Benchmark {
  /** As in {@code reflux bench NAME}. */
  String name();

  /** One line for {@code reflux bench --list}. */
  String description();

  /**
   * Measures.
   *
   * @param quick whether to take the fewest runs that still mean something
   * @param progress what to show while it works
   */
  Result run(boolean quick, PrintWriter progress) throws Exception;
}
