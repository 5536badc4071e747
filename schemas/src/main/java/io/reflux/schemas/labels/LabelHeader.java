package io.reflux.schemas.labels;

/**
 * What formats 2 to 4 begin with, after their tag.
 *
 * @param width ids or draws a row
 */
record LabelHeader(int flags, int vocabularySize, int rows, int width) {
  static final int NORMALISED = 1;
  static final int SOME_TAILS_UNKNOWN = 2;
  static final int SOME_ENTROPIES_UNKNOWN = 4;

  boolean has(int flag) {
    return (flags & flag) != 0;
  }

  void write(int tag, BitWriter out) {
    out.writeByte(tag);
    out.writeByte(flags);
    out.writeVarint(vocabularySize);
    out.writeVarint(rows);
    out.writeVarint(width);
  }

  static LabelHeader read(BitReader in, int allowedFlags, int expectedVocabulary)
      throws SoftLabelFormatException {
    int flags = in.read(8);
    if ((flags & ~allowedFlags) != 0) {
      throw new SoftLabelFormatException("Soft labels: unknown flags " + flags);
    }
    int vocabulary = in.readVarint();
    if (vocabulary != expectedVocabulary) {
      throw new SoftLabelFormatException(
          "Soft labels of vocabulary " + vocabulary + " (expected: " + expectedVocabulary + ")");
    }
    return new LabelHeader(flags, vocabulary, in.readVarint(), in.readVarint());
  }

  /**
   * Before any array is made, so that counts that lie cost no memory.
   *
   * @param mostWidth of a row
   * @param leastRowBits what no row can be shorter than
   */
  void requirePlausible(int mostWidth, long leastRowBits, BitReader in)
      throws SoftLabelFormatException {
    boolean plausible =
        vocabularySize >= 1
            && vocabularySize <= SoftLabelCodec.MAX_VOCABULARY_SIZE
            && width <= mostWidth
            && (width > 0 || rows == 0)
            && (long) rows * width <= SoftLabelCodec.MAX_ENTRIES
            && rows * leastRowBits <= in.remainingBits();
    if (!plausible) {
      throw new SoftLabelFormatException(
          "Soft labels are damaged: rows, width, vocabulary: "
              + rows
              + ", "
              + width
              + ", "
              + vocabularySize
              + " in "
              + in.remainingBits() / 8
              + " bytes");
    }
  }
}
