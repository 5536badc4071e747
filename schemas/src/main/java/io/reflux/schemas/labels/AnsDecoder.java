package io.reflux.schemas.labels;

/** Symbols out of what {@link AnsEncoder} wrote. */
final class AnsDecoder {
  /** What the encoder starts from, and so what the decoder ends at. */
  static final long LEAST_STATE = 1L << 16;

  private final byte[] bytes;
  private final int end;
  private int position;
  private long state;

  AnsDecoder(byte[] bytes, int from, int end) throws SoftLabelFormatException {
    if (end - from < 4) {
      throw new SoftLabelFormatException("Soft labels are damaged: no symbols");
    }
    this.bytes = bytes;
    this.end = end;
    this.position = from;
    this.state = (long) nextWord() << 16 | nextWord();
    if (state < LEAST_STATE) {
      throw new SoftLabelFormatException("Soft labels are damaged: symbols start at " + state);
    }
  }

  int next(AnsModel model) throws SoftLabelFormatException {
    int slot = (int) state & (AnsModel.TOTAL - 1);
    int symbol = model.symbol(slot);
    int code = model.code(symbol);
    state = (code & 0xffff) * (state >>> AnsModel.BITS) + slot - (code >>> 16);
    if (state < LEAST_STATE) {
      state = state << 16 | nextWord();
    }
    return symbol;
  }

  /** The next symbols into [from, to) of an array. */
  void next(AnsModel model, int[] symbols, int from, int to) throws SoftLabelFormatException {
    long current = state;
    for (int i = from; i < to; i++) {
      int slot = (int) current & (AnsModel.TOTAL - 1);
      int symbol = model.symbol(slot);
      int code = model.code(symbol);
      current = (code & 0xffff) * (current >>> AnsModel.BITS) + slot - (code >>> 16);
      if (current < LEAST_STATE) {
        current = current << 16 | nextWord();
      }
      symbols[i] = symbol;
    }
    state = current;
  }

  private int nextWord() throws SoftLabelFormatException {
    if (position + 2 > end) {
      throw new SoftLabelFormatException("Soft labels are damaged: symbols end early");
    }
    int word = (bytes[position] & 0xff) << 8 | (bytes[position + 1] & 0xff);
    position += 2;
    return word;
  }

  /** Refuses what no encoder can have written. */
  void requireEnd() throws SoftLabelFormatException {
    if (position != end || state != LEAST_STATE) {
      throw new SoftLabelFormatException("Soft labels are damaged: symbols go on after the last");
    }
  }
}
