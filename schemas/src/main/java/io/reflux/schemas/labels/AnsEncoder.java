package io.reflux.schemas.labels;

import java.util.Arrays;

/**
 * Symbols into bytes at close to their information: asymmetric numeral systems, the variant that
 * ranges over frequencies (Duda, "Asymmetric numeral systems", arXiv:1311.2540). The coder works
 * from the last symbol to the first, so that the decoder can go forward; nothing is coded before
 * {@link #finish}.
 */
final class AnsEncoder {
  private int[] codes = new int[1024];
  private int size;

  void add(AnsModel model, int symbol) {
    if (size == codes.length) {
      codes = Arrays.copyOf(codes, size * 2);
    }
    codes[size++] = model.code(symbol);
  }

  /** The state that the decoder starts from, then its 16-bit words. */
  byte[] finish() {
    // A symbol costs at most AnsModel.BITS bits.
    byte[] reversed = new byte[2 * size + 4];
    int end = reversed.length;
    long state = AnsDecoder.LEAST_STATE;
    for (int i = size - 1; i >= 0; i--) {
      int frequency = codes[i] & 0xffff;
      if (state >= (long) frequency << (32 - AnsModel.BITS)) {
        reversed[--end] = (byte) state;
        reversed[--end] = (byte) (state >>> 8);
        state >>>= 16;
      }
      long turns = state / frequency;
      state = (turns << AnsModel.BITS) + (state - turns * frequency) + (codes[i] >>> 16);
    }
    for (int shift = 0; shift < 32; shift += 8) {
      reversed[--end] = (byte) (state >>> shift);
    }
    return Arrays.copyOfRange(reversed, end, reversed.length);
  }
}
