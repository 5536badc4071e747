package io.reflux.trainer;

/**
 * What was out of the ordinary since training began.
 *
 * @param notFinite steps that changed nothing because a loss or the gradient was not finite
 * @param spikes steps that changed nothing because a loss was out of bounds
 * @param rewinds times that the student went back to a good state
 * @param rewarms times that the stream had drifted and the learning rate rose again
 * @param droppedStale rollouts let go of because too many student versions had begun since
 * @param weightedStale rollouts of such a student trained on, by importance, repeats counted
 * @param quarantined sequences set aside because their loss was out of bounds
 * @param released of them taken back
 */
public record Tally(
    long notFinite,
    long spikes,
    long rewinds,
    long rewarms,
    long droppedStale,
    long weightedStale,
    long quarantined,
    long released) {
  static final Tally NONE = new Tally(0, 0, 0, 0, 0, 0, 0, 0);

  /** Steps that changed nothing. */
  public long skippedSteps() {
    return notFinite + spikes;
  }

  Tally plus(Tally other) {
    return new Tally(
        notFinite + other.notFinite,
        spikes + other.spikes,
        rewinds + other.rewinds,
        rewarms + other.rewarms,
        droppedStale + other.droppedStale,
        weightedStale + other.weightedStale,
        quarantined + other.quarantined,
        released + other.released);
  }

  static Tally ofNotFinite() {
    return new Tally(1, 0, 0, 0, 0, 0, 0, 0);
  }

  static Tally ofSpike() {
    return new Tally(0, 1, 0, 0, 0, 0, 0, 0);
  }

  static Tally ofRewind() {
    return new Tally(0, 0, 1, 0, 0, 0, 0, 0);
  }

  static Tally ofRewarm() {
    return new Tally(0, 0, 0, 1, 0, 0, 0, 0);
  }

  static Tally ofStale(long dropped, long weighted) {
    return new Tally(0, 0, 0, 0, dropped, weighted, 0, 0);
  }

  static Tally ofQuarantine(long quarantined, long released) {
    return new Tally(0, 0, 0, 0, 0, 0, quarantined, released);
  }
}
