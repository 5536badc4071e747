package io.reflux.producers.redact;

import com.google.re2j.Matcher;
import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Takes what must not leave the process out of a text. It reads the text once, and around each
 * place that is worth a look no more than a bounded stretch, so that no text takes more than linear
 * time; only custom rules and telephone numbers cost more than a few nanoseconds a character.
 *
 * <p>Numbers of cards and accounts are checked by their check digits, telephone numbers by their
 * numbering plan. Names and free text are found by lists only: what is not on one is not known to
 * be a name.
 *
 * <p>Immutable, for any number of threads.
 */
public final class Redactor {
  /** No deadline, for {@link #redact}. */
  public static final long NO_DEADLINE = Long.MAX_VALUE;

  private static final int LOOK_AT_CLOCK_EVERY = 4096;

  private final Set<RedactionKind> kinds;
  private final Emails emails = new Emails();
  private final Ibans ibans = new Ibans();
  private final Addresses addresses = new Addresses();
  private final Secrets secrets = new Secrets();
  private final Numbers numbers;
  private final Names names;
  private final List<CustomRule> rules;

  /**
   * A redactor.
   *
   * @param kinds what is taken out
   * @param phoneRegions ISO 3166 codes of the countries whose national forms count as telephone
   *     numbers; international ones always do
   * @param names that are taken out where they stand as whole words
   * @param rules applied to the text as it came
   */
  public Redactor(
      Set<RedactionKind> kinds,
      List<String> phoneRegions,
      Collection<String> names,
      List<CustomRule> rules) {
    this.kinds = kinds.isEmpty() ? EnumSet.noneOf(RedactionKind.class) : EnumSet.copyOf(kinds);
    this.numbers = new Numbers(phoneRegions);
    this.names = new Names(names);
    this.rules = List.copyOf(rules);
  }

  /**
   * Reads a text.
   *
   * @param deadlineNanos by {@link System#nanoTime}; {@link #NO_DEADLINE} for none
   * @return incomplete and without a text if the deadline came first
   */
  public Redaction redact(String text, long deadlineNanos) {
    Findings found = new Findings(kinds);
    boolean complete = new Scan(text, found, deadlineNanos).run();
    for (CustomRule rule : kinds.contains(RedactionKind.CUSTOM) ? rules : List.<CustomRule>of()) {
      if (!complete || isPast(deadlineNanos)) {
        complete = false;
        break;
      }
      Matcher matcher = rule.pattern().matcher(text);
      while (matcher.find()) {
        if (matcher.end() > matcher.start()) {
          found.add(RedactionKind.CUSTOM, rule.name(), matcher.start(), matcher.end());
        }
      }
    }
    if (!complete) {
      return new Redaction(null, List.of(), false);
    }
    if (found.isEmpty()) {
      return new Redaction(text, List.of(), true);
    }
    List<Finding> merged = found.merged();
    StringBuilder out = new StringBuilder(text.length());
    int from = 0;
    for (Finding finding : merged) {
      out.append(text, from, finding.start()).append(finding.kind().placeholder());
      from = finding.end();
    }
    return new Redaction(out.append(text, from, text.length()).toString(), merged, true);
  }

  private static boolean isPast(long deadlineNanos) {
    return deadlineNanos != NO_DEADLINE && System.nanoTime() - deadlineNanos >= 0;
  }

  /** One reading of one text. */
  private final class Scan {
    private final String text;
    private final Findings found;
    private final long deadlineNanos;
    private final boolean named = kinds.contains(RedactionKind.NAME) && !names.isEmpty();
    private final boolean secret = kinds.contains(RedactionKind.SECRET);
    private final boolean iban = kinds.contains(RedactionKind.IBAN);
    private final boolean email = kinds.contains(RedactionKind.EMAIL);
    private final boolean ip = kinds.contains(RedactionKind.IP);

    /** Before it, numbers have been looked at. */
    private int numbersTo;

    /** Before it, all is a secret. */
    private int secretTo;

    /** Where the run of characters of a token began. */
    private int tokenStart;

    Scan(String text, Findings found, long deadlineNanos) {
      this.text = text;
      this.found = found;
      this.deadlineNanos = deadlineNanos;
    }

    /** Whether it came to the end. */
    boolean run() {
      boolean inWord = false;
      for (int i = 0; i < text.length(); i++) {
        if (i % LOOK_AT_CLOCK_EVERY == 0 && isPast(deadlineNanos)) {
          return false;
        }
        char c = text.charAt(i);
        boolean word = Letters.isWord(c);
        if (word && (!inWord || Names.isIdeograph(c))) {
          wordStart(i);
        }
        inWord = word;
        if (word) {
          if (i >= numbersTo && Letters.isDigit(c)) {
            numbersTo = numbers.look(text, i, found);
          }
        } else {
          mark(i, c);
        }
      }
      tokenEnd(text.length());
      return true;
    }

    private void wordStart(int i) {
      if (secret && i >= secretTo) {
        int before = found.size();
        secrets.look(text, i, found);
        secretTo = Math.max(secretTo, found.endSince(before));
      }
      if (iban && Ibans.begins(text, i)) {
        ibans.look(text, i, found);
      }
      if (named) {
        names.look(text, i, found);
      }
    }

    private void mark(int i, char c) {
      switch (c) {
        case '@', '\uFF20', '%' -> {
          if (email && Emails.begins(text, i)) {
            emails.look(text, i, found);
          }
          tokenEnd(i);
        }
        case ':' -> {
          if (ip) {
            addresses.look(text, i, found);
          }
          assigned(i);
          if (secret) {
            Secrets.userOfUrl(text, i, found);
          }
          tokenEnd(i);
        }
        case '=' -> assigned(i);
        case '-' -> {
          if (secret && i >= secretTo) {
            secretTo = Math.max(secretTo, Secrets.armoured(text, i, found));
          }
        }
        case '+', '\uFF0B', '(' -> {
          if (i >= numbersTo && Numbers.begins(text, i)) {
            numbersTo = numbers.look(text, i, found);
          }
          if (c != '+') {
            tokenEnd(i);
          }
        }
        case '_', '/' -> {
          // Parts of a token.
        }
        default -> tokenEnd(i);
      }
    }

    private void assigned(int i) {
      if (secret && i >= secretTo) {
        int before = found.size();
        Secrets.assigned(text, i, found);
        secretTo = Math.max(secretTo, found.endSince(before));
      }
    }

    private void tokenEnd(int i) {
      if (secret) {
        Secrets.mixed(text, tokenStart, i, found);
      }
      tokenStart = i + 1;
    }
  }
}
