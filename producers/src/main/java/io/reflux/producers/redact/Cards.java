package io.reflux.producers.redact;

import org.apache.commons.validator.routines.checkdigit.LuhnCheckDigit;

/** Which numbers are payment cards: an issuer's beginning, its lengths, and Luhn's check. */
final class Cards {
  /**
   * Issuers' numbers that begin alike.
   *
   * @param low first six digits of the first, filled with zeros
   * @param high first six digits of the last
   */
  private record Issuer(int low, int high, int shortest, int longest) {}

  /** ISO/IEC 7812's ranges as the networks publish them. */
  private static final Issuer[] ISSUERS = {
    // Visa, Mastercard (both its series), American Express, Diners Club.
    new Issuer(400_000, 499_999, 13, 19),
    new Issuer(510_000, 559_999, 16, 16),
    new Issuer(222_100, 272_099, 16, 16),
    new Issuer(340_000, 349_999, 15, 15),
    new Issuer(370_000, 379_999, 15, 15),
    new Issuer(300_000, 305_999, 14, 19),
    new Issuer(309_500, 309_599, 14, 19),
    new Issuer(360_000, 369_999, 14, 19),
    new Issuer(380_000, 399_999, 14, 19),
    // JCB, Mir, Verve, RuPay, Maestro with UnionPay and Discover, BC Card and others of 6 and 8.
    new Issuer(352_800, 358_999, 16, 19),
    new Issuer(220_000, 220_499, 16, 19),
    new Issuer(506_000, 509_999, 12, 19),
    new Issuer(500_000, 505_999, 12, 19),
    new Issuer(560_000, 599_999, 12, 19),
    new Issuer(600_000, 699_999, 12, 19),
    new Issuer(810_000, 827_999, 16, 19),
  };

  private Cards() {}

  /**
   * Whether it is one.
   *
   * @param digits 12 to 19 of 0 to 9
   */
  static boolean isCard(CharSequence digits) {
    int head = Integer.parseInt(digits, 0, 6, 10);
    for (Issuer issuer : ISSUERS) {
      if (head >= issuer.low()
          && head <= issuer.high()
          && digits.length() >= issuer.shortest()
          && digits.length() <= issuer.longest()) {
        return LuhnCheckDigit.LUHN_CHECK_DIGIT.isValid(digits.toString());
      }
    }
    return false;
  }
}
