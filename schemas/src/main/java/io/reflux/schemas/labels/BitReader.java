package io.reflux.schemas.labels;

/** Bits out of bytes, most significant first; the mirror of {@link BitWriter}. */
final class BitReader {
  private final byte[] bytes;
  private final int end;
  private int position;
  private long pending;
  private int pendingBits;

  /**
   * @param end where the readable bytes end, exclusive
   */
  BitReader(byte[] bytes, int from, int end) {
    this.bytes = bytes;
    this.position = from;
    this.end = end;
  }

  /** The next {@code count} bits, 0 to 31 of them. */
  int read(int count) throws SoftLabelFormatException {
    while (pendingBits < count) {
      if (position >= end) {
        throw new SoftLabelFormatException("Soft labels end early, at byte " + position);
      }
      pending = (pending << 8) | (bytes[position++] & 0xff);
      pendingBits += 8;
    }
    pendingBits -= count;
    return (int) ((pending >>> pendingBits) & ((1L << count) - 1));
  }

  /**
   * The number of 1 bits before the next 0.
   *
   * @param most a larger number is damage
   */
  int readUnary(int most) throws SoftLabelFormatException {
    int ones = 0;
    while (read(1) == 1) {
      if (++ones > most) {
        throw new SoftLabelFormatException(
            "Soft labels are damaged: a run of more than " + most + " before byte " + position);
      }
    }
    return ones;
  }

  int readBelow(int range) throws SoftLabelFormatException {
    int floor = 31 - Integer.numberOfLeadingZeros(range);
    int shortCodes = (int) ((2L << floor) - range);
    int rotated = read(floor);
    if (rotated >= shortCodes) {
      rotated = ((rotated << 1) | read(1)) - shortCodes;
    }
    return Math.floorMod(rotated + (range - shortCodes) / 2, range);
  }

  int readGamma(int mostBits) throws SoftLabelFormatException {
    int bits = readUnary(mostBits);
    return (1 << bits) | read(bits);
  }

  int readVarint() throws SoftLabelFormatException {
    long value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      int next = read(8);
      value |= (long) (next & 0x7f) << shift;
      if (next < 0x80) {
        if (value > Integer.MAX_VALUE) {
          break;
        }
        return (int) value;
      }
    }
    throw new SoftLabelFormatException("Soft labels are damaged: a count beyond 31 bits");
  }

  /** Bits left, the last byte's filling included. */
  long remainingBits() {
    return (end - position) * 8L + pendingBits;
  }
}
