package io.reflux.producers.redact;

import java.util.List;

/**
 * Cards, telephones and IPv4 addresses: digits of any script, in groups with blanks, hyphens, dots
 * and brackets between them. A run of groups is looked at once.
 */
final class Numbers {
  private static final int MOST_GROUPS = 24;
  private static final int LONGEST_GAP = 3;
  private static final int SHORTEST_CARD = 12;
  private static final int LONGEST_CARD = 19;
  private static final int MOST_PHONE_GROUPS = 7;

  /** A number of a house or a day before a telephone number has fewer digits. */
  private static final int SHORTEST_GROUP_OF_CODE = 4;

  private final Phones phones;

  /**
   * @param regions whose national forms are telephone numbers; international ones always are
   */
  Numbers(List<String> regions) {
    this.phones = new Phones(regions);
  }

  /** Whether a run may begin here. */
  static boolean begins(String text, int at) {
    char c = text.charAt(at);
    if (Letters.isDigit(c)) {
      return true;
    }
    boolean leads = c == '+' || c == '\uFF0B' || c == '(';
    return leads && at + 1 < text.length() && isDigitOrBracket(text.charAt(at + 1));
  }

  private static boolean isDigitOrBracket(char c) {
    return Letters.isDigit(c) || c == '(';
  }

  /** Groups of digits, and what is known of each. */
  private static final class Run {
    private final int[] starts = new int[MOST_GROUPS];
    private final int[] ends = new int[MOST_GROUPS];
    private final boolean[] taken = new boolean[MOST_GROUPS];
    private int groups;

    int length(int group) {
      return ends[group] - starts[group];
    }

    /** The one character between a group and the next; 0 where there are more. */
    char gap(String text, int group) {
      return starts[group + 1] - ends[group] == 1 ? text.charAt(ends[group]) : 0;
    }
  }

  /** Looks at the run that begins here; returns where it ends. */
  int look(String text, int at, Findings found) {
    Run run = read(text, at);
    if (run.groups == 0) {
      return at + 1;
    }
    for (int group = 0; group < run.groups; group++) {
      if (!run.taken[group]) {
        internet(text, run, group, found);
      }
      if (!run.taken[group]) {
        card(text, run, group, found);
      }
    }
    telephones(text, at, run, found);
    return run.ends[run.groups - 1];
  }

  private static Run read(String text, int at) {
    Run run = new Run();
    int i = at;
    int gap = 0;
    while (i < text.length() && run.groups < MOST_GROUPS) {
      char c = text.charAt(i);
      if (Letters.isDigit(c)) {
        run.starts[run.groups] = i;
        while (i < text.length() && Letters.isDigit(text.charAt(i))) {
          i++;
        }
        run.ends[run.groups++] = i;
        gap = 0;
      } else if (gap < LONGEST_GAP && isGap(c, run.groups == 0)) {
        gap++;
        i++;
      } else {
        break;
      }
    }
    return run;
  }

  private static boolean isGap(char c, boolean atBeginning) {
    boolean bracket = c == '(' || c == ')';
    return atBeginning
        ? bracket || c == '+' || c == '\uFF0B'
        : bracket || c == '.' || c == '/' || c == '+' || Letters.isBlank(c) || Letters.isDash(c);
  }

  private static void internet(String text, Run run, int first, Findings found) {
    if (first + 4 > run.groups) {
      return;
    }
    for (int group = first; group < first + 4; group++) {
      boolean part = run.length(group) <= 3 && value(text, run, group) <= 255;
      boolean joined = group == first + 3 || run.gap(text, group) == '.';
      if (!part || !joined) {
        return;
      }
    }
    boolean longer =
        (first > 0 && run.gap(text, first - 1) == '.')
            || (first + 4 < run.groups && run.gap(text, first + 3) == '.');
    if (!longer) {
      take(run, first, first + 3);
      found.add(RedactionKind.IP, "ipv4", run.starts[first], run.ends[first + 3]);
    }
  }

  private static int value(String text, Run run, int group) {
    int value = 0;
    for (int i = run.starts[group]; i < run.ends[group]; i++) {
      value = value * 10 + Letters.digit(text.charAt(i));
    }
    return value;
  }

  /** The longest card that begins with a group. */
  private static void card(String text, Run run, int first, Findings found) {
    StringBuilder digits = new StringBuilder(LONGEST_CARD);
    int last = -1;
    for (int group = first; group < run.groups && !run.taken[group]; group++) {
      char gap = group == first ? ' ' : run.gap(text, group - 1);
      boolean joins = gap == '.' || Letters.isBlank(gap) || Letters.isDash(gap);
      if (!joins || digits.length() + run.length(group) > LONGEST_CARD) {
        break;
      }
      for (int i = run.starts[group]; i < run.ends[group]; i++) {
        digits.append((char) ('0' + Letters.digit(text.charAt(i))));
      }
      if (digits.length() >= SHORTEST_CARD && Cards.isCard(digits)) {
        last = group;
      }
    }
    if (last >= 0) {
      take(run, first, last);
      found.add(RedactionKind.CARD, "card", run.starts[first], run.ends[last]);
    }
  }

  private static void take(Run run, int first, int last) {
    for (int group = first; group <= last; group++) {
      run.taken[group] = true;
    }
  }

  /** What is left of the run: at each group the longest telephone number that begins there. */
  private void telephones(String text, int at, Run run, Findings found) {
    int group = 0;
    while (group < run.groups) {
      if (run.taken[group] || isDate(text, run, group)) {
        group += run.taken[group] ? 1 : 3;
        continue;
      }
      int last = mayBeginTelephone(text, run, group) ? lastOfTelephone(text, run, group) : -1;
      if (last < 0) {
        group++;
        continue;
      }
      int start = group == 0 ? at : run.starts[group] - lead(text, run, group);
      found.add(RedactionKind.PHONE, "phone", start, run.ends[last]);
      group = last + 1;
    }
  }

  /** Not in the middle of a word, nor of what else is written in groups. */
  private static boolean mayBeginTelephone(String text, Run run, int group) {
    int start = run.starts[group];
    if (group == 0) {
      return start == 0 || !Letters.isWord(text.charAt(start - 1));
    }
    char gap = run.gap(text, group - 1);
    boolean alone = gap == 0 || gap == '/' || gap == '(' || gap == '+';
    boolean afterSmall =
        group == 1
            && run.length(0) < SHORTEST_GROUP_OF_CODE
            && Letters.digit(text.charAt(start)) == 0;
    return alone || run.taken[group - 1] || afterSmall;
  }

  private int lastOfTelephone(String text, Run run, int first) {
    boolean international = isPlus(text, run.starts[first] - 1);
    StringBuilder digits = new StringBuilder(Phones.LONGEST + 2);
    int[] lengths = new int[MOST_PHONE_GROUPS];
    int groups = 0;
    for (int i = first; i < run.groups && groups < MOST_PHONE_GROUPS && !run.taken[i]; i++) {
      boolean another = i > first && !joinsTelephone(text, run.ends[i - 1], run.starts[i]);
      if (another || digits.length() + run.length(i) > Phones.LONGEST + 2) {
        break;
      }
      for (int at = run.starts[i]; at < run.ends[i]; at++) {
        digits.append((char) ('0' + Letters.digit(text.charAt(at))));
      }
      lengths[groups++] = digits.length();
    }
    for (int i = groups - 1; i >= 0; i--) {
      // Digits one by one are a list or a table, and no plan writes a number so.
      if (lengths[i] >= Math.max(Phones.SHORTEST, 2 * i + 1)
          && !isWordAt(text, run.ends[first + i])
          && phones.isPhone(digits.substring(0, lengths[i]), international)) {
        return first + i;
      }
    }
    return -1;
  }

  /** Not what stands between two terms or two numbers. */
  private static boolean joinsTelephone(String text, int from, int to) {
    boolean bracket = false;
    for (int i = from; i < to; i++) {
      char c = text.charAt(i);
      if (c == '+' || c == '\uFF0B') {
        return false;
      }
      bracket |= c == '(' || c == ')';
    }
    return to - from < 3 || bracket;
  }

  /** How many of the brackets and plus signs before a group are its own. */
  private static int lead(String text, Run run, int group) {
    int start = run.starts[group];
    while (start > run.ends[group - 1]
        && (text.charAt(start - 1) == '(' || isPlus(text, start - 1))) {
      start--;
    }
    return run.starts[group] - start;
  }

  private static boolean isWordAt(String text, int at) {
    return at < text.length() && Letters.isWord(text.charAt(at));
  }

  private static boolean isPlus(String text, int at) {
    return at >= 0 && (text.charAt(at) == '+' || text.charAt(at) == '\uFF0B');
  }

  /** Year, month and day in ISO 8601's order. */
  private static boolean isDate(String text, Run run, int first) {
    char century = text.charAt(run.starts[first]);
    return first + 3 <= run.groups
        && run.length(first) == 4
        && run.length(first + 1) <= 2
        && run.length(first + 2) <= 2
        && (century == '1' || century == '2');
  }
}
