package io.reflux.producers.redact;

/** What characters are; quick for ASCII. */
final class Letters {
  private static final byte WORD = 1;
  private static final byte DIGIT = 2;
  private static final byte TOKEN = 4;
  private static final byte ATOM = 8;
  private static final byte[] ASCII = new byte[128];

  static {
    for (char c = 'a'; c <= 'z'; c++) {
      ASCII[c] = WORD | TOKEN | ATOM;
      ASCII[Character.toUpperCase(c)] = WORD | TOKEN | ATOM;
    }
    for (char c = '0'; c <= '9'; c++) {
      ASCII[c] = WORD | DIGIT | TOKEN | ATOM;
    }
    for (char c : "-_./+=~".toCharArray()) {
      ASCII[c] |= TOKEN;
    }
    // RFC 5322's atext, and the dot between atoms.
    for (char c : "!#$%&'*+-/=?^_`{|}~.".toCharArray()) {
      ASCII[c] |= ATOM;
    }
  }

  private Letters() {}

  /** A letter or a digit of any script. */
  static boolean isWord(char c) {
    return c < 128 ? (ASCII[c] & WORD) != 0 : Character.isLetterOrDigit(c);
  }

  /** A decimal digit of any script. */
  static boolean isDigit(char c) {
    return c < 128 ? (ASCII[c] & DIGIT) != 0 : Character.isDigit(c);
  }

  /** Its value, whatever its script. */
  static int digit(char c) {
    return c < 128 ? c - '0' : Character.digit(c, 10);
  }

  /** What keys and tokens are written with. */
  static boolean isToken(char c) {
    return c < 128 && (ASCII[c] & TOKEN) != 0;
  }

  /** What stands before an address's at sign; any letter or digit beyond ASCII (RFC 6531). */
  static boolean isAtom(char c) {
    return c < 128 ? (ASCII[c] & ATOM) != 0 : isInternational(c);
  }

  /** What an internationalised name may hold beyond ASCII. */
  static boolean isInternational(char c) {
    return Character.isLetterOrDigit(c)
        || Character.isSurrogate(c)
        || Character.getType(c) == Character.NON_SPACING_MARK
        || Character.getType(c) == Character.COMBINING_SPACING_MARK;
  }

  static boolean isHex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  }

  static boolean isAsciiLetter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }

  /** Blanks of a line, the unbreakable and the thin ones too. */
  static boolean isBlank(char c) {
    return c == ' ' || c == '\t' || (c >= 128 && Character.getType(c) == Character.SPACE_SEPARATOR);
  }

  /** Hyphens and dashes. */
  static boolean isDash(char c) {
    return c == '-' || (c >= 128 && Character.getType(c) == Character.DASH_PUNCTUATION);
  }
}
