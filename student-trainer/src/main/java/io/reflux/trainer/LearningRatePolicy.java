package io.reflux.trainer;

/**
 * A learning rate for a stream without end: up to its peak, down to the rate that it settles at,
 * and then constant (the infinite schedule of arXiv 2403.08763). A stream that drifts brings it
 * back to its peak; weights that went back start it over.
 */
final class LearningRatePolicy {
  private final double peak;
  private final int warmUpSteps;
  private final int settleSteps;
  private final double settledShare;
  private long start;
  private double from;

  /**
   * @param settleSteps after the warm-up in which it falls
   * @param settledShare of the peak that it falls to; 1 stays at the peak
   */
  LearningRatePolicy(double peak, int warmUpSteps, int settleSteps, double settledShare) {
    this.peak = peak;
    this.warmUpSteps = warmUpSteps;
    this.settleSteps = settleSteps;
    this.settledShare = settledShare;
  }

  /** Of the step after so many. */
  double at(long step) {
    return peak * share(step);
  }

  /** Rises to the peak again, from where it is. */
  void rewarm(long step) {
    from = share(step);
    start = step;
  }

  /** Rises from nothing. */
  void startOver(long step) {
    from = 0;
    start = step;
  }

  private double share(long step) {
    long since = step - start;
    if (since < warmUpSteps) {
      return from + (1 - from) * (since + 1) / warmUpSteps;
    }
    if (settleSteps == 0) {
      return settledShare;
    }
    double settled = Math.min(1, (double) (since - warmUpSteps) / settleSteps);
    return settledShare + (1 - settledShare) * (1 + StrictMath.cos(Math.PI * settled)) / 2;
  }

  StudentState.Ramp state() {
    return new StudentState.Ramp(start, from);
  }

  void restore(StudentState.Ramp state) {
    start = state.start();
    from = state.from();
  }
}
