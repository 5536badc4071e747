package io.reflux.schemas.labels;

/** Checks that the blocks share. */
final class Shapes {
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
}
