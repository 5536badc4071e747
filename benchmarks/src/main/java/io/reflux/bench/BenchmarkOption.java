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
  PLOT("--plot"),
  /** The directory of text to learn from. */
  DATA("--data"),
  /** How many seeds to repeat it with. */
  SEEDS("--seeds"),
  /** How long to go on. */
  DURATION("--duration"),
  /** Where to keep what is finished, so that the same command goes on from there. */
  WORK("--work");

  private final String flag;

  BenchmarkOption(String flag) {
    this.flag = flag;
  }

  /** As on the command line. */
  public String flag() {
    return flag;
  }
}
