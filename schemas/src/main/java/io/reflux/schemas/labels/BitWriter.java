package io.reflux.schemas.labels;

import java.util.Arrays;

/** Bits into bytes, most significant first. */
final class BitWriter {
  private byte[] bytes;
  private int size;
  private long pending;
  private int pendingBits;

  BitWriter(int expectedBytes) {
    bytes = new byte[Math.max(16, expectedBytes)];
  }

  /** Appends the low {@code count} bits of a value, 0 to 32 of them. */
  void write(int value, int count) {
    pending = (pending << count) | (value & ((1L << count) - 1));
    pendingBits += count;
    if (size + Long.BYTES > bytes.length) {
      bytes = Arrays.copyOf(bytes, bytes.length * 2);
    }
    while (pendingBits >= 8) {
      pendingBits -= 8;
      bytes[size++] = (byte) (pending >>> pendingBits);
    }
  }

  /** {@code ones} bits of 1, then a 0. */
  void writeUnary(int ones) {
    int left = ones;
    for (; left >= 31; left -= 31) {
      write(0x7fffffff, 31);
    }
    write(((1 << left) - 1) << 1, left + 1);
  }

  /**
   * A number below {@code range} in floor or ceil of log2(range) bits; the numbers in the middle of
   * the range get the shorter codes.
   */
  void writeBelow(int value, int range) {
    int floor = 31 - Integer.numberOfLeadingZeros(range);
    int shortCodes = (int) ((2L << floor) - range);
    int rotated = Math.floorMod(value - (range - shortCodes) / 2, range);
    if (rotated < shortCodes) {
      write(rotated, floor);
    } else {
      write(rotated + shortCodes, floor + 1);
    }
  }

  /** Elias gamma code of a number from 1. */
  void writeGamma(int value) {
    int bits = 31 - Integer.numberOfLeadingZeros(value);
    writeUnary(bits);
    write(value, bits);
  }

  void writeByte(int value) {
    write(value, 8);
  }

  /** Between bytes only. */
  void writeBytes(byte[] values) {
    if (size + values.length + Long.BYTES > bytes.length) {
      bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, size + values.length + Long.BYTES));
    }
    System.arraycopy(values, 0, bytes, size, values.length);
    size += values.length;
  }

  /** 7 bits a byte, lowest first, the top bit set on all but the last. */
  void writeVarint(int value) {
    int left = value;
    for (; left >>> 7 != 0; left >>>= 7) {
      writeByte((left & 0x7f) | 0x80);
    }
    writeByte(left);
  }

  /** Fills the last byte with zeros. */
  void align() {
    if (pendingBits > 0) {
      write(0, 8 - pendingBits);
    }
  }

  byte[] array() {
    return bytes;
  }

  int size() {
    return size;
  }
}
