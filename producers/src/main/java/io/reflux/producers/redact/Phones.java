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
  private static final int NORTH_AMERICA = 1;
  private static final String INTERNATIONAL_PREFIX = "00";

  private final PhoneNumberUtil plans = PhoneNumberUtil.getInstance();
  private final List<Home> homes;

  /**
   * A country whose national forms count.
   *
   * @param trunk dialled before them at home; empty for nothing
   * @param optional whether it is often left out, as in North America
   */
  private record Home(int countryCode, String trunk, boolean optional) {}

  /**
   * @param regions whose national forms count
   */
  Phones(List<String> regions) {
    homes = regions.stream().map(this::home).distinct().toList();
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
    for (Home home : homes) {
      boolean dialled = digits.startsWith(home.trunk());
      if ((dialled && isValid(home.countryCode(), digits.substring(home.trunk().length())))
          || (home.optional() && isValid(home.countryCode(), digits))) {
        return true;
      }
    }
    return false;
  }

  private Home home(String region) {
    int countryCode = plans.getCountryCodeForRegion(region);
    String trunk = plans.getNddPrefixForRegion(region, true);
    return new Home(countryCode, trunk == null ? "" : trunk, countryCode == NORTH_AMERICA);
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
    if (national.length() < SHORTEST - 2) {
      return false;
    }
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
