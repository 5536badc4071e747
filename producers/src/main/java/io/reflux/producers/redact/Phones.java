package io.reflux.producers.redact;

import com.google.i18n.phonenumbers.PhoneNumberUtil;
import com.google.i18n.phonenumbers.Phonenumber.PhoneNumber;
import java.util.List;

/**
 * Which digits are a telephone number, by the numbering plans of the library. Its own search is not
 * used: it takes some hundred microseconds a candidate, and who writes many could stall a mirror.
 */
final class Phones {
  /** ITU-T E.164's, country code included. */
  static final int LONGEST = 15;

  static final int SHORTEST = 7;

  private static final int LONGEST_COUNTRY_CODE = 3;
  private static final String INTERNATIONAL_PREFIX = "00";

  private final PhoneNumberUtil plans = PhoneNumberUtil.getInstance();
  private final int[] countryCodes;

  /**
   * @param regions whose national forms count
   */
  Phones(List<String> regions) {
    countryCodes = regions.stream().mapToInt(plans::getCountryCodeForRegion).distinct().toArray();
  }

  /**
   * Whether they are one.
   *
   * @param digits 0 to 9
   * @param international whether a plus sign stood before them
   */
  boolean isPhone(String digits, boolean international) {
    if (digits.length() < SHORTEST || digits.length() > LONGEST + 2) {
      return false;
    }
    if (international) {
      return isInternational(digits);
    }
    if (digits.startsWith(INTERNATIONAL_PREFIX)) {
      return isInternational(digits.substring(INTERNATIONAL_PREFIX.length()));
    }
    for (int countryCode : countryCodes) {
      // What is dialled before a number at home: 1 in North America, 0 nearly everywhere else.
      char trunk = countryCode == 1 ? '1' : '0';
      if (isValid(countryCode, digits)
          || (digits.charAt(0) == trunk && isValid(countryCode, digits.substring(1)))) {
        return true;
      }
    }
    return false;
  }

  private boolean isInternational(String digits) {
    for (int length = 1; length <= Math.min(LONGEST_COUNTRY_CODE, digits.length() - 4); length++) {
      int countryCode = Integer.parseInt(digits.substring(0, length));
      String rest = digits.substring(length);
      // As in +44 (0)20.
      if (plans.getRegionCodesForCountryCode(countryCode).isEmpty()) {
        continue;
      }
      if (isValid(countryCode, rest)
          || (rest.charAt(0) == '0' && isValid(countryCode, rest.substring(1)))) {
        return true;
      }
    }
    return false;
  }

  private boolean isValid(int countryCode, String national) {
    PhoneNumber number =
        new PhoneNumber().setCountryCode(countryCode).setNationalNumber(Long.parseLong(national));
    if (national.charAt(0) == '0') {
      int zeros = 0;
      while (zeros < national.length() - 1 && national.charAt(zeros) == '0') {
        zeros++;
      }
      number.setItalianLeadingZero(true).setNumberOfLeadingZeros(zeros);
    }
    return plans.isValidNumber(number);
  }
}
