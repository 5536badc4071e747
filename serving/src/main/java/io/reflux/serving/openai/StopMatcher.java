package io.reflux.serving.openai;

import java.util.List;

/**
 * Lets text through until a stop text begins in it, however it is cut into pieces. What might be
 * the beginning of one is held back until it is known.
 */
final class StopMatcher {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private boolean stopped;

  StopMatcher(List<String> stops) {
    this.stops = stops;
  }

  /** The text that is certain now; nothing more comes after {@link #stopped}. */
  String push(String text) {
    if (stopped) {
      return "";
    }
    held.append(text);
    int first = -1;
    for (String stop : stops) {
      int at = held.indexOf(stop);
      if (at >= 0 && (first < 0 || at < first)) {
        first = at;
      }
    }
    if (first >= 0) {
      stopped = true;
      return take(first);
    }
    return take(held.length() - longestBeginning());
  }

  /** What was held back, when no more text comes. */
  String finish() {
    return stopped ? "" : take(held.length());
  }

  /** Whether a stop text has come. */
  boolean stopped() {
    return stopped;
  }

  private String take(int length) {
    String taken = held.substring(0, length);
    held.delete(0, length);
    return taken;
  }

  /** Length of the longest end of the held text with which a stop text begins. */
  private int longestBeginning() {
    int longest = 0;
    for (String stop : stops) {
      for (int length = Math.min(stop.length() - 1, held.length()); length > longest; length--) {
        if (stop.startsWith(held.substring(held.length() - length))) {
          longest = length;
        }
      }
    }
    return longest;
  }
}
