package io.reflux.producers.redact;

import org.apache.commons.validator.routines.IBANValidator;

/**
 * Bank accounts: a country's letters, two check digits, and the length and form of that country.
 */
final class Ibans {
  private static final int LONGEST = 34;

  private final IBANValidator validator = IBANValidator.getInstance();

  /** Whether two letters and two digits begin here. */
  static boolean begins(String text, int at) {
    return at + 4 < text.length()
        && Letters.isAsciiLetter(text.charAt(at))
        && Letters.isAsciiLetter(text.charAt(at + 1))
        && digitAfterGap(text, at + 2);
  }

  private static boolean digitAfterGap(String text, int at) {
    char c = text.charAt(at);
    return Letters.isDigit(c) || (isGap(c) && Letters.isDigit(text.charAt(at + 1)));
  }

  private static boolean isGap(char c) {
    return Letters.isBlank(c) || Letters.isDash(c) || c == '.';
  }

  void look(String text, int at, Findings found) {
    StringBuilder code = new StringBuilder(LONGEST);
    code.append(Character.toUpperCase(text.charAt(at)));
    code.append(Character.toUpperCase(text.charAt(at + 1)));
    IBANValidator.Validator country = validator.getValidator(code.toString());
    if (country == null) {
      return;
    }
    int wanted = country.getIbanLength();
    int i = at + 2;
    while (i < text.length() && code.length() < wanted) {
      char c = text.charAt(i);
      if (Letters.isDigit(c)) {
        code.append((char) ('0' + Letters.digit(c)));
      } else if (Letters.isAsciiLetter(c)) {
        code.append(Character.toUpperCase(c));
      } else if (!isGap(c) || isGap(text.charAt(i - 1))) {
        return;
      }
      i++;
    }
    // More letters would make it another word, but a blank may be followed by anything.
    boolean whole = i >= text.length() || !Letters.isWord(text.charAt(i));
    if (whole
        && code.length() == wanted
        && remainder(code) == 1
        && validator.isValid(code.toString())) {
      found.add(RedactionKind.IBAN, "iban." + code.substring(0, 2), at, i);
    }
  }

  /** Of ISO 7064's division by 97, country and check digits last: quick, where the form is not. */
  private static int remainder(CharSequence code) {
    int rest = 0;
    for (int i = 0; i < code.length(); i++) {
      int value = Character.digit(code.charAt((i + 4) % code.length()), 36);
      rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
    }
    return rest;
  }
}
