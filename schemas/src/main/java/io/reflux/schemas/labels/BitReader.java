package io.reflux.schemas.labels;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Bits out of bytes, most significant first; the mirror of {@link BitWriter}. */
final class BitReader {
  /** Bits of {@link #peek} that can be relied on. */
  static final int PEEKED = 57;

  private static final VarHandle LONGS =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);

  private final byte[] bytes;
  private final long end;
  private long position;

  /**
   * @param end where the readable bytes end, exclusive
   */
  BitReader(byte[] bytes, int from, int end) {
    this.bytes = bytes;
    this.position = from * 8L;
    this.end = end * 8L;
  }

  /** In bits, from the start of the array. */
  long position() {
    return position;
  }

  /**
   * The next {@link #PEEKED} bits or more at a position, at the top of the word. Those beyond the
   * end mean nothing: whoever takes them is found out by {@link #moveTo}.
   */
  long peek(long at) {
    int index = (int) (at >>> 3);
    if (index + Long.BYTES <= bytes.length) {
      return (long) LONGS.get(bytes, index) << (at & 7);
    }
    return peekSlowly(at);
  }

  private long peekSlowly(long at) {
    long word = 0;
    int index = (int) (at >>> 3);
    for (int i = index; i < index + Long.BYTES; i++) {
      word = (word << 8) | (i < bytes.length ? bytes[i] & 0xff : 0);
    }
    return word << (at & 7);
  }

  void moveTo(long at) throws SoftLabelFormatException {
    if (at > end) {
      throw new SoftLabelFormatException("Soft labels end early, at byte " + end / 8);
    }
    position = at;
  }

  /** The next {@code count} bits, 0 to 31 of them. */
  int read(int count) throws SoftLabelFormatException {
    int value = (int) (peek(position) >>> 1 >>> (63 - count));
    moveTo(position + count);
    return value;
  }

  /**
   * The number of 1 bits before the next 0.
   *
   * @param most a larger number is damage
   */
  int readUnary(int most) throws SoftLabelFormatException {
    int ones = 0;
    while (true) {
      int run = Math.min(Long.numberOfLeadingZeros(~peek(position)), PEEKED);
      ones += run;
      if (ones > most) {
        throw new SoftLabelFormatException(
            "Soft labels are damaged: a run of more than " + most + " at byte " + position / 8);
      }
      boolean ended = run < PEEKED;
      moveTo(position + run + (ended ? 1 : 0));
      if (ended) {
        return ones;
      }
    }
  }

  int readBelow(int range) throws SoftLabelFormatException {
    int floor = 31 - Integer.numberOfLeadingZeros(range);
    int shortCodes = (int) ((2L << floor) - range);
    int rotated = read(floor);
    if (rotated >= shortCodes) {
      rotated = ((rotated << 1) | read(1)) - shortCodes;
    }
    int value = rotated + (range - shortCodes) / 2;
    return value < range ? value : value - range;
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
    return end - position;
  }

  /** Refuses anything after the last row but zeros that fill its last byte. */
  void requireEnd() throws SoftLabelFormatException {
    long left = remainingBits();
    if (left >= 8) {
      throw new SoftLabelFormatException("Soft labels: " + left / 8 + " bytes after the last row");
    }
    if (read((int) left) != 0) {
      throw new SoftLabelFormatException("Soft labels: bits after the last row");
    }
  }
}
