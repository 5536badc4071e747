package io.reflux.producers.redact;

import org.apache.commons.validator.routines.InetAddressValidator;

/** IPv6 addresses, looked for at a colon; the others are among the {@link Numbers}. */
final class Addresses {
  private static final int LONGEST = 45;

  private final InetAddressValidator validator = InetAddressValidator.getInstance();

  void look(String text, int at, Findings found) {
    int start = at;
    while (start > 0 && at - start <= LONGEST && isPart(text.charAt(start - 1))) {
      start--;
    }
    // Only its first colon looks at it, so that none is looked at more than once.
    for (int i = start; i < at; i++) {
      if (text.charAt(i) == ':') {
        return;
      }
    }
    int end = at;
    int colons = 0;
    while (end < text.length() && end - start <= LONGEST && isPart(text.charAt(end))) {
      colons += text.charAt(end) == ':' ? 1 : 0;
      end++;
    }
    while (end > at && (text.charAt(end - 1) == '.' || endsWithOneColon(text, at, end))) {
      end--;
    }
    boolean joined =
        (start > 0 && Letters.isWord(text.charAt(start - 1)))
            || (end < text.length() && Letters.isWord(text.charAt(end)));
    if (colons >= 2 && !joined && validator.isValidInet6Address(text.substring(start, end))) {
      found.add(RedactionKind.IP, "ipv6", start, end);
    }
  }

  private static boolean endsWithOneColon(String text, int at, int end) {
    return text.charAt(end - 1) == ':' && end - 2 >= at && text.charAt(end - 2) != ':';
  }

  private static boolean isPart(char c) {
    return Letters.isHex(c) || c == ':' || c == '.';
  }
}
