package io.reflux.producers.redact;

import java.text.Normalizer;
import java.util.Collection;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Names of a list, whole words in any case. Each ideograph is a word, since nothing stands between
 * them. What a look costs goes by the longest name, not by how many there are.
 */
final class Names {
  private static final int MARKS = 1 << 16;
  private static final int LONGEST_WORD = 64;

  private final Node root = new Node();

  /** Where the first words of names fall: most words of a text fall elsewhere. */
  private final boolean[] marks = new boolean[MARKS];

  private static final class Node {
    private final Map<String, Node> next = new HashMap<>(4);
    private boolean name;
  }

  Names(Collection<String> names) {
    for (String name : names) {
      String text = Normalizer.normalize(name.strip(), Normalizer.Form.NFC);
      Node node = root;
      for (int i = nextWord(text, 0); i < text.length(); i = nextWord(text, i)) {
        int end = wordEnd(text, i);
        if (node == root) {
          marks[mark(text, i, end)] = true;
        }
        node = node.next.computeIfAbsent(folded(text, i, end), word -> new Node());
        i = end;
      }
      node.name = node != root;
    }
  }

  boolean isEmpty() {
    return root.next.isEmpty();
  }

  /** At the beginning of a word, and at every ideograph. */
  void look(String text, int at, Findings found) {
    int end = wordEnd(text, at);
    if (!marks[mark(text, at, end)]) {
      return;
    }
    Node node = root.next.get(folded(text, at, end));
    int nameEnd = -1;
    while (node != null) {
      if (node.name) {
        nameEnd = end;
      }
      int next = nextWord(text, end);
      // More than a hyphen, a dot and a blank between two words, and they are not one name.
      if (next >= text.length() || next - end > 3 || node.next.isEmpty()) {
        break;
      }
      end = wordEnd(text, next);
      node = node.next.get(folded(text, next, end));
    }
    if (nameEnd > 0) {
      found.add(RedactionKind.NAME, "name", at, nameEnd);
    }
  }

  /** Whether a word of one character begins here, whatever stands before it. */
  static boolean isIdeograph(char c) {
    return c >= 0x2E80 && (Character.isIdeographic(c) || isKana(c));
  }

  private static boolean isKana(char c) {
    return c >= 0x3040 && c <= 0x30FF;
  }

  private static int nextWord(String text, int from) {
    int i = from;
    while (i < text.length() && i - from < 4 && !Letters.isWord(text.charAt(i))) {
      i++;
    }
    return i < text.length() && Letters.isWord(text.charAt(i)) ? i : text.length();
  }

  private static int wordEnd(String text, int from) {
    if (isIdeograph(text.charAt(from))) {
      return from + 1;
    }
    int end = from;
    int limit = Math.min(text.length(), from + LONGEST_WORD);
    while (end < limit && Letters.isWord(text.charAt(end)) && !isIdeograph(text.charAt(end))) {
      end++;
    }
    return end;
  }

  private static int mark(String text, int from, int to) {
    int hash = 0;
    for (int i = from; i < to; i++) {
      hash = 31 * hash + Character.toLowerCase(text.charAt(i));
    }
    return (hash ^ hash >>> 16) & (MARKS - 1);
  }

  private static String folded(String text, int from, int to) {
    return text.substring(from, to).toLowerCase(Locale.ROOT);
  }
}
