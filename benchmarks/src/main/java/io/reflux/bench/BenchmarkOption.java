package io.reflux.bench;

/** What some benchmarks can be told, and others cannot. */
public enum BenchmarkOption {
  /** How many cases to try. */
  CASES("--cases"),
  /** How often to kill. */
  KILLS("--kills"),
  /** The teacher's directory; a benchmark that takes it needs it. */
  TEACHER("--teacher"),
  /** Where to draw the figures. */
  PLOT("--plot");

  private final String flag;

  BenchmarkOption(String flag) {
    this.flag = flag;
  }

  /** As on the command line. */
  public String flag() {
    return flag;
  }
}
