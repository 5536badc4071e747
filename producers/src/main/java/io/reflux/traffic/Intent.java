package io.reflux.traffic;

import java.util.List;

/**
 * One thing that customers want.
 *
 * @param segment the desk it belongs to
 * @param shifted whether it is rare until the mix shifts
 * @param phrasings ways to ask: for each written template, every text that its alternatives allow
 * @param answer the response's body, with slots in braces
 */
public record Intent(
    String name, String segment, boolean shifted, List<List<String>> phrasings, String answer) {
  public Intent {
    phrasings = phrasings.stream().map(List::copyOf).toList();
  }
}
