package io.reflux.schemas.labels;

/** Checks that the blocks and the formats share. */
final class Shapes {
  /** How far from one a row may sum and still count as normalised. */
  static final double SUM_TOLERANCE = 1e-3;

  private Shapes() {}

  static void requireLength(String name, int length, long expected) {
    if (length != expected) {
      throw new IllegalArgumentException(
          name + ".length: " + length + " (expected: " + expected + ")");
    }
  }

  static void requireNotNegative(String name, int value) {
    if (value < 0) {
      throw new IllegalArgumentException(name + ": " + value + " (expected: 0 or more)");
    }
  }

  static void requireWidth(String name, int width, int rows, int most) {
    int least = rows == 0 ? 0 : 1;
    if (width < least || width > most) {
      throw new IllegalArgumentException(
          name + ": " + width + " (expected: " + least + " to " + most + ")");
    }
    if ((long) rows * width > SoftLabelCodec.MAX_ENTRIES) {
      throw new IllegalArgumentException(
          "rows * "
              + name
              + ": "
              + (long) rows * width
              + " (expected: at most "
              + SoftLabelCodec.MAX_ENTRIES
              + ")");
    }
  }

  static void requireId(int row, int id, int vocabularySize) {
    if (id < 0 || id >= vocabularySize) {
      throw new IllegalArgumentException(
          "ids, row " + row + ": " + id + " (expected: 0 to " + (vocabularySize - 1) + ")");
    }
  }

  /** A little above zero is rounding. */
  static void requireLogprob(String name, int row, float value) {
    if (!(value <= SUM_TOLERANCE)) {
      throw new IllegalArgumentException(
          name + ", row " + row + ": " + value + " (expected: 0 or less)");
    }
  }

  static void requireTail(int row, float value) {
    if (!Float.isNaN(value)) {
      requireLogprob("tailLogMass", row, value);
    }
  }

  /** Unknown is allowed. */
  static void requireEntropy(int row, float value) {
    if (value < -SUM_TOLERANCE || value == Float.POSITIVE_INFINITY) {
      throw new IllegalArgumentException(
          "entropy, row " + row + ": " + value + " (expected: 0 or more)");
    }
  }

  static boolean someUnknown(float[] values) {
    for (float value : values) {
      if (Float.isNaN(value)) {
        return true;
      }
    }
    return false;
  }
}
