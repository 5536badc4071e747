package io.reflux.model.checkpoint;

/** 16-bit floats. Widening is exact; narrowing rounds to nearest, ties to even. */
public final class Halves {
  /** The largest float16. */
  public static final float MAX_FLOAT16 = 65_504;

  private Halves() {}

  /** Widens a bfloat16. */
  public static float fromBfloat16(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** Rounds to a bfloat16. */
  public static short toBfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      // Rounding could carry a NaN's payload away and leave infinity.
      return (short) ((bits >>> 16) | 0x40);
    }
    int roundingBias = 0x7fff + ((bits >>> 16) & 1);
    return (short) ((bits + roundingBias) >>> 16);
  }

  /** Widens a float16. */
  public static float fromFloat16(short bits) {
    int sign = (bits & 0x8000) << 16;
    int exponent = (bits >>> 10) & 0x1f;
    int fraction = bits & 0x3ff;
    if (exponent == 0x1f) {
      return Float.intBitsToFloat(sign | 0x7f800000 | (fraction << 13));
    }
    if (exponent == 0) {
      float magnitude = fraction * 0x1p-24f;
      return sign == 0 ? magnitude : -magnitude;
    }
    return Float.intBitsToFloat(sign | ((exponent - 15 + 127) << 23) | (fraction << 13));
  }

  /** Rounds to a float16; from 65,520 on that is infinity. */
  public static short toFloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = (bits >>> 16) & 0x8000;
    int magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) {
      return (short) (sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff));
    }
    if (magnitude < 0x38800000) {
      // Subnormal halves are multiples of 2^-24; the product is exact, and rint ties to even.
      return (short) (sign | (int) Math.rint(Math.abs((double) value) * 0x1p24));
    }
    int roundingBias = 0xfff + ((magnitude >>> 13) & 1);
    int rounded = (magnitude - ((127 - 15) << 23) + roundingBias) >>> 13;
    return (short) (sign | Math.min(rounded, 0x7c00));
  }
}
