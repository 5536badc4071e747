package io.reflux.producers.redact;

/**
 * E-mail addresses around an at sign, a full-width or a percent-encoded one too. The lengths are
 * RFC 5321's.
 */
final class Emails {
  private static final int LONGEST_LOCAL = 64;
  private static final int LONGEST_DOMAIN = 255;
  private static final int LONGEST_LABEL = 63;

  /** Whether a place is worth a look: at sign, full-width at sign, or %40. */
  static boolean begins(String text, int at) {
    char c = text.charAt(at);
    return c == '@' || c == '\uFF20' || (c == '%' && text.startsWith("%40", at));
  }

  void look(String text, int at, Findings found) {
    int after = at + (text.charAt(at) == '%' ? 3 : 1);
    int start = localStart(text, at);
    int end = start == at ? -1 : domainEnd(text, after);
    if (end > 0) {
      found.add(RedactionKind.EMAIL, "email", start, end);
    }
  }

  private static int localStart(String text, int at) {
    if (at > 0 && text.charAt(at - 1) == '"') {
      return quotedStart(text, at);
    }
    int start = at;
    while (start > 0 && at - start < LONGEST_LOCAL && Letters.isAtom(text.charAt(start - 1))) {
      start--;
    }
    // A dot begins nothing, and a quote or a mark of markup before an address is not its own.
    while (start < at && !isFirst(text.charAt(start))) {
      start++;
    }
    // What stands before the last equals sign, slash or such is a parameter or a path.
    for (int i = start; i < at; i++) {
      char c = text.charAt(i);
      if ((c == '=' || c == '/' || c == '?' || c == '&') && i + 1 < at) {
        start = i + 1;
      }
    }
    return start;
  }

  /** Of a quoted local part; the at sign itself if no quote opens it on its line. */
  private static int quotedStart(String text, int at) {
    for (int i = at - 2; i >= 0 && at - i <= LONGEST_LOCAL + 2 && text.charAt(i) != '\n'; i--) {
      if (text.charAt(i) == '"') {
        return i;
      }
    }
    return at;
  }

  private static boolean isFirst(char c) {
    return Letters.isWord(c) || c == '_' || c == '+' || c == '#' || c == '$' || c >= 128;
  }

  /** After the last label; -1 if there are not two, or the last is no top-level domain. */
  private static int domainEnd(String text, int from) {
    if (from < text.length() && text.charAt(from) == '[') {
      int close = from + 1;
      while (close < text.length()
          && close - from < LONGEST_LABEL
          && isLiteral(text.charAt(close))) {
        close++;
      }
      boolean closed = close > from + 1 && close < text.length() && text.charAt(close) == ']';
      return closed ? close + 1 : -1;
    }
    int limit = Math.min(text.length(), from + LONGEST_DOMAIN);
    int end = -1;
    int labels = 0;
    int label = from;
    while (label < limit) {
      int to = label;
      while (to < limit && isLabel(text.charAt(to))) {
        to++;
      }
      int last = to;
      while (last > label && text.charAt(last - 1) == '-') {
        last--;
      }
      if (last == label || last - label > LONGEST_LABEL || text.charAt(label) == '-') {
        break;
      }
      labels++;
      if (labels > 1) {
        int top = topLevelEnd(text, label, last);
        end = top > 0 ? top : end;
      }
      if (last < to || to + 1 >= limit || !isDot(text.charAt(to))) {
        break;
      }
      label = to + 1;
    }
    return end;
  }

  /** Of an address instead of a domain's name. */
  private static boolean isLiteral(char c) {
    return Letters.isWord(c) || c == '.' || c == ':';
  }

  private static boolean isLabel(char c) {
    return c < 128 ? Letters.isWord(c) || c == '-' : Letters.isInternational(c);
  }

  /** The ideographic and the full-width dot separate labels as well (RFC 3490). */
  private static boolean isDot(char c) {
    return c == '.' || c == '\u3002' || c == '\uFF0E' || c == '\uFF61';
  }

  /** Letters alone, whatever is tied to them by a hyphen; -1 if it is no top-level domain. */
  private static int topLevelEnd(String text, int from, int to) {
    if (text.regionMatches(true, from, "xn--", 0, 4)) {
      return to;
    }
    int end = from;
    while (end < to && text.charAt(end) != '-' && !Letters.isDigit(text.charAt(end))) {
      end++;
    }
    boolean whole = end == to || text.charAt(end) == '-';
    boolean enough = end - from >= 2 || (end > from && text.charAt(from) >= 128);
    return whole && enough ? end : -1;
  }
}
