package io.reflux.model.checkpoint;

/**
 * 8-bit floats of the kind E4M3FN: a sign, 4 bits of exponent with a bias of 7, 3 of fraction, no
 * infinity and one NaN a sign (arXiv 2209.05433).
 */
public final class Float8 {
  /** The largest. */
  public static final float MAX = 448;

  private static final int NAN = 0x7f;
  private static final int LARGEST = 0x7e;
  private static final int FRACTION_BITS = 3;
  private static final int BIAS = 7;
  private static final int SMALLEST_EXPONENT = 1 - BIAS;

  private Float8() {}

  /** Widens; exact. */
  public static float fromE4m3(byte bits) {
    int magnitude = bits & 0x7f;
    if (magnitude == NAN) {
      return Float.NaN;
    }
    int exponent = magnitude >>> FRACTION_BITS;
    int fraction = magnitude & 7;
    float value =
        exponent == 0
            ? Math.scalb((float) fraction, SMALLEST_EXPONENT - FRACTION_BITS)
            : Math.scalb((float) (8 + fraction), exponent - BIAS - FRACTION_BITS);
    return bits < 0 ? -value : value;
  }

  /** Rounds to nearest, ties to even; what is beyond the largest becomes the largest. */
  public static byte toE4m3(float value) {
    int sign = (Float.floatToRawIntBits(value) >>> 24) & 0x80;
    float magnitude = Math.abs(value);
    if (Float.isNaN(value)) {
      return (byte) (sign | NAN);
    }
    if (magnitude >= MAX) {
      return (byte) (sign | LARGEST);
    }
    int exponent = Math.max(Math.getExponent(magnitude), SMALLEST_EXPONENT);
    // Steps of this exponent's; 8 to 16 of them, fewer below the smallest. Scaling is exact, and a
    // fraction that is rounded up to 16 carries into the exponent by itself.
    int steps = (int) Math.rint(Math.scalb((double) magnitude, FRACTION_BITS - exponent));
    return (byte) (sign | (((exponent - SMALLEST_EXPONENT) << FRACTION_BITS) + steps));
  }

  /** Whether the bits stand for a number. */
  static boolean isNumber(byte bits) {
    return (bits & 0x7f) != NAN;
  }
}
