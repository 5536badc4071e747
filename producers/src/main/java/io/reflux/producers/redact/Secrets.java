package io.reflux.producers.redact;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Keys and tokens by the beginnings that their makers give them, and what stands after a name. */
final class Secrets {
  /** A token is not looked at beyond this. */
  private static final int LONGEST = 4096;

  /** What decides whether it is one, so that much that is none costs little. */
  private static final int FIRST_LOOK = 64;

  private static final int LONGEST_VALUE = 512;
  private static final int LONGEST_USER = 256;
  private static final int SHORTEST_VALUE = 5;
  private static final int SHORTEST_MIXED = 32;
  private static final int SHORTEST_BEARER = 12;
  private static final int LONGEST_NAME = 24;
  private static final int SHORTEST_NAME = 3;
  private static final String PEM = "-----BEGIN ";
  private static final String PEM_END = "-----END ";

  /** Names whose values are secret, without their underscores and hyphens. */
  private static final Set<String> NAMES =
      Set.of(
          "password",
          "passwd",
          "passphrase",
          "pwd",
          "secret",
          "clientsecret",
          "secretkey",
          "apikey",
          "apitoken",
          "accesskey",
          "accesstoken",
          "authtoken",
          "refreshtoken",
          "privatekey",
          "xapikey");

  /**
   * A maker's mark.
   *
   * @param least characters after it
   */
  private record Mark(String prefix, int least) {}

  /** From the makers' documentation. */
  private static final List<Mark> MARKS =
      List.of(
          new Mark("sk-", 20),
          new Mark("sk_live_", 16),
          new Mark("sk_test_", 16),
          new Mark("rk_live_", 16),
          new Mark("pk_live_", 16),
          new Mark("whsec_", 16),
          new Mark("AKIA", 16),
          new Mark("ASIA", 16),
          new Mark("AIza", 35),
          new Mark("ya29.", 20),
          new Mark("GOCSPX-", 20),
          new Mark("ghp_", 30),
          new Mark("gho_", 30),
          new Mark("ghu_", 30),
          new Mark("ghs_", 30),
          new Mark("ghr_", 30),
          new Mark("github_pat_", 22),
          new Mark("glpat-", 20),
          new Mark("xoxb-", 10),
          new Mark("xoxp-", 10),
          new Mark("xoxa-", 10),
          new Mark("xoxr-", 10),
          new Mark("xoxs-", 10),
          new Mark("xapp-", 10),
          new Mark("hf_", 30),
          new Mark("npm_", 30),
          new Mark("pypi-", 16),
          new Mark("SG.", 20),
          new Mark("dop_v1_", 32),
          new Mark("shpat_", 32),
          new Mark("eyJ", 20));

  private final List<List<Mark>> marksByFirst = new ArrayList<>();

  Secrets() {
    for (int i = 0; i < 128; i++) {
      marksByFirst.add(new ArrayList<>(0));
    }
    for (Mark mark : MARKS) {
      marksByFirst.get(mark.prefix().charAt(0)).add(mark);
    }
  }

  /** At the beginning of a word. */
  void look(String text, int at, Findings found) {
    char first = text.charAt(at);
    if (first >= 128) {
      return;
    }
    for (Mark mark : marksByFirst.get(first)) {
      if (text.startsWith(mark.prefix(), at)) {
        marked(text, at, mark, found);
      }
    }
    if ((first | 0x20) == 'b') {
      bearer(text, at, "bearer", found);
      bearer(text, at, "basic", found);
    }
  }

  private static void marked(String text, int at, Mark mark, Findings found) {
    int from = at + mark.prefix().length();
    int looked = tokenEnd(text, from, FIRST_LOOK);
    // A word such as sk-learn has no digits.
    if (looked - from >= mark.least() && hasDigit(text, from, looked)) {
      found.add(RedactionKind.SECRET, mark.prefix(), at, tokenEnd(text, from, LONGEST));
    }
  }

  private static void bearer(String text, int at, String scheme, Findings found) {
    if (!text.regionMatches(true, at, scheme, 0, scheme.length())) {
      return;
    }
    int from = at + scheme.length();
    int token = from;
    while (token < text.length() && token - from < 4 && Letters.isBlank(text.charAt(token))) {
      token++;
    }
    if (token == from) {
      return;
    }
    int end = tokenEnd(text, token, LONGEST);
    if (end - token >= SHORTEST_BEARER && hasDigitOrCapital(text, token, end)) {
      found.add(RedactionKind.SECRET, scheme, token, end);
    }
  }

  /** The value after a name such as password, at the colon or equals sign between them. */
  static void assigned(String text, int at, Findings found) {
    if (!isSecretName(text, at)) {
      return;
    }
    int from = at + 1;
    int limit = Math.min(text.length(), from + 4);
    char quote = 0;
    while (from < limit && isLead(text.charAt(from))) {
      char c = text.charAt(from++);
      quote = c == '"' || c == '\'' ? c : quote;
    }
    int end = from;
    limit = Math.min(text.length(), from + LONGEST_VALUE);
    while (end < limit && !endsValue(text.charAt(end), quote)) {
      end++;
    }
    if (end - from >= SHORTEST_VALUE) {
      found.add(RedactionKind.SECRET, "assigned", from, end);
    }
  }

  private static boolean isLead(char c) {
    return Letters.isBlank(c) || c == '"' || c == '\'' || c == '=' || c == '>' || c == '\\';
  }

  private static boolean endsValue(char c, char quote) {
    if (c == '\n' || c == '\r') {
      return true;
    }
    return quote != 0
        ? c == quote
        : Character.isWhitespace(c) || Letters.isBlank(c) || c == ',' || c == ';' || c == '&';
  }

  private static boolean isSecretName(String text, int to) {
    StringBuilder name = new StringBuilder();
    int i = to - 1;
    while (i >= 0 && to - i <= 3 && isTrail(text.charAt(i))) {
      i--;
    }
    for (; i >= 0 && to - i <= LONGEST_NAME; i--) {
      char c = text.charAt(i);
      if (Letters.isAsciiLetter(c)) {
        name.append(Character.toLowerCase(c));
      } else if (c != '_' && c != '-') {
        break;
      }
    }
    return name.length() >= SHORTEST_NAME && NAMES.contains(name.reverse().toString());
  }

  private static boolean isTrail(char c) {
    return Letters.isBlank(c) || c == '"' || c == '\'' || c == '\\';
  }

  /** User and password of a URL, at the colon before its two slashes. */
  static void userOfUrl(String text, int at, Findings found) {
    if (!text.startsWith("://", at)) {
      return;
    }
    int from = at + 3;
    int limit = Math.min(text.length(), from + LONGEST_USER);
    boolean password = false;
    for (int i = from; i < limit; i++) {
      char c = text.charAt(i);
      if (c == '@') {
        if (password && i > from) {
          found.add(RedactionKind.SECRET, "url", from, i);
        }
        return;
      }
      if (c == '/' || c == '?' || c == '#' || c == '"' || Character.isWhitespace(c)) {
        return;
      }
      password |= c == ':';
    }
  }

  /** A private key in PEM's armour, at its first hyphen; returns where to go on. */
  static int armoured(String text, int at, Findings found) {
    if (!text.startsWith(PEM, at)) {
      return at + 1;
    }
    int lineEnd = text.indexOf("-----", at + PEM.length());
    if (lineEnd < 0 || lineEnd - at > 64) {
      return at + PEM.length();
    }
    if (!text.substring(at, lineEnd).endsWith("PRIVATE KEY")) {
      return lineEnd;
    }
    // Without an end, the rest of it is the key: half of one is still a secret.
    int end = text.indexOf(PEM_END, lineEnd);
    int close = end < 0 ? -1 : text.indexOf("-----", end + PEM_END.length());
    int to = close < 0 ? text.length() : close + "-----".length();
    found.add(RedactionKind.SECRET, "pem", at, to);
    return to;
  }

  /** A long word of capitals, small letters and digits all mixed, as only machines write. */
  static void mixed(String text, int from, int to, Findings found) {
    if (to - from >= SHORTEST_MIXED && looksRandom(text, from, to)) {
      found.add(RedactionKind.SECRET, "mixed", from, to);
    }
  }

  /** Whether digits, capitals and small letters take turns as in no word. */
  private static boolean looksRandom(String text, int from, int to) {
    int digits = 0;
    int capitals = 0;
    int small = 0;
    int changes = 0;
    int before = 0;
    for (int i = from; i < to; i++) {
      char c = text.charAt(i);
      int kind = 0;
      if (c >= '0' && c <= '9') {
        digits++;
        kind = 1;
      } else if (c >= 'A' && c <= 'Z') {
        capitals++;
        kind = 2;
      } else if (c >= 'a' && c <= 'z') {
        small++;
        kind = 3;
      }
      changes += kind != before && kind != 0 ? 1 : 0;
      before = kind == 0 ? before : kind;
    }
    int length = to - from;
    return digits >= 2 && capitals >= 2 && small >= 2 && changes * 4 >= length;
  }

  private static int tokenEnd(String text, int from, int longest) {
    int end = from;
    int limit = Math.min(text.length(), from + longest);
    while (end < limit && Letters.isToken(text.charAt(end))) {
      end++;
    }
    while (end > from && text.charAt(end - 1) == '.') {
      end--;
    }
    return end;
  }

  private static boolean hasDigitOrCapital(String text, int from, int to) {
    for (int i = from; i < to; i++) {
      char c = text.charAt(i);
      if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')) {
        return true;
      }
    }
    return false;
  }

  private static boolean hasDigit(String text, int from, int to) {
    for (int i = from; i < to; i++) {
      if (Letters.isDigit(text.charAt(i))) {
        return true;
      }
    }
    return false;
  }
}
