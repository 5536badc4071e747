package io.reflux.model.tokenizer;

/**
 * The printable stand-ins that byte-level tokenizers write for bytes: printable Latin-1 characters
 * stand for themselves, the others are numbered from U+0100.
 */
final class ByteAlphabet {
  private static final String CHARACTERS = characters();

  private ByteAlphabet() {}

  static char character(int unsignedByte) {
    return CHARACTERS.charAt(unsignedByte);
  }

  /** The byte, 0 to 255, that a character stands for; -1 if it stands for none. */
  static int unsignedByte(char character) {
    return CHARACTERS.indexOf(character);
  }

  private static String characters() {
    StringBuilder characters = new StringBuilder(256);
    int next = 0x100;
    for (int value = 0; value < 256; value++) {
      boolean printable =
          (value >= '!' && value <= '~') || (value >= 0xA1 && value <= 0xAC) || value >= 0xAE;
      characters.append((char) (printable ? value : next++));
    }
    return characters.toString();
  }
}
