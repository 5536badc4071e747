package io.reflux.schemas.labels;

/** An entropy in steps of 1/64 nat, up to 15.98 nats: more than any vocabulary allows. */
final class EntropyCode {
  private static final int BITS = 10;
  private static final float STEPS_PER_NAT = 64;

  private EntropyCode() {}

  /**
   * @param someUnknown whether a bit says that the entropy is known
   */
  static void write(float entropy, boolean someUnknown, BitWriter out) {
    boolean known = !Float.isNaN(entropy);
    if (someUnknown) {
      out.write(known ? 1 : 0, 1);
    }
    if (known) {
      int coded = Math.round(Math.max(0, entropy) * STEPS_PER_NAT);
      out.write(Math.min(coded, (1 << BITS) - 1), BITS);
    }
  }

  static float read(boolean someUnknown, BitReader in) throws SoftLabelFormatException {
    if (someUnknown && in.read(1) == 0) {
      return Float.NaN;
    }
    return in.read(BITS) / STEPS_PER_NAT;
  }
}
