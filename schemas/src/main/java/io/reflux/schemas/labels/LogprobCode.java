package io.reflux.schemas.labels;

/**
 * A log-prob as a whole number: 1/32 nat apart down to -10, then as many numbers an octave, so that
 * the relative error stays.
 */
final class LogprobCode {
  static final int BITS = 11;

  /** Negative infinity; what lies below {@link #decode} of the number before becomes that one. */
  static final int IMPOSSIBLE = 1441;

  private static final double LINEAR_NATS = 10;
  private static final int LINEAR_STEPS = 320;
  private static final int OCTAVE_STEPS = 160;

  private LogprobCode() {}

  static int encode(float logprob) {
    if (logprob == Float.NEGATIVE_INFINITY) {
      return IMPOSSIBLE;
    }
    double x = Math.max(0, -(double) logprob);
    if (x < LINEAR_NATS) {
      return (int) Math.round(x * (LINEAR_STEPS / LINEAR_NATS));
    }
    int octave = Math.getExponent(x / LINEAR_NATS);
    double within = x / (LINEAR_NATS * (1L << Math.min(octave, 30))) - 1;
    double coded =
        LINEAR_STEPS + (double) OCTAVE_STEPS * octave + Math.round(OCTAVE_STEPS * within);
    return (int) Math.min(IMPOSSIBLE - 1, coded);
  }

  /**
   * @param coded 0 to {@link #IMPOSSIBLE}
   */
  static float decode(int coded) {
    if (coded == IMPOSSIBLE) {
      return Float.NEGATIVE_INFINITY;
    }
    if (coded < LINEAR_STEPS) {
      return (float) (0 - coded * (LINEAR_NATS / LINEAR_STEPS));
    }
    int octave = (coded - LINEAR_STEPS) / OCTAVE_STEPS;
    double within = (coded - LINEAR_STEPS) % OCTAVE_STEPS / (double) OCTAVE_STEPS;
    return (float) (-LINEAR_NATS * (1 << octave) * (1 + within));
  }

  static float read(BitReader in) throws SoftLabelFormatException {
    return decode(require(in.read(BITS)));
  }

  static int require(int coded) throws SoftLabelFormatException {
    if (coded < 0 || coded > IMPOSSIBLE) {
      throw new SoftLabelFormatException("Soft labels are damaged: log-prob number " + coded);
    }
    return coded;
  }
}
