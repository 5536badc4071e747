package io.reflux.producers.redact;

import java.util.Locale;

/** What is taken out of a text. Of two that overlap, the earlier named here gives its name. */
public enum RedactionKind {
  /** Passwords, API keys, bearer tokens, private keys. */
  SECRET,
  /** Numbers of payment cards that pass Luhn's check. */
  CARD,
  /** Bank accounts that pass ISO 13616's check. */
  IBAN,
  /** E-mail addresses, internationalised ones too. */
  EMAIL,
  /** IPv4 and IPv6 addresses. */
  IP,
  /** Telephone numbers that a numbering plan knows. */
  PHONE,
  /** Of a configured list. */
  NAME,
  /** Of a configured expression. */
  CUSTOM;

  /** What stands in the text instead. */
  public String placeholder() {
    return "[" + name() + "]";
  }

  /** As settings and meters have it. */
  public String code() {
    return name().toLowerCase(Locale.ROOT);
  }
}
