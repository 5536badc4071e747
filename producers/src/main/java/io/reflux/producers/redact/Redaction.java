package io.reflux.producers.redact;

import java.util.List;

/**
 * What became of a text.
 *
 * @param text with placeholders; null when {@link #complete} is false, so that nobody sends it
 * @param findings in their order, none overlapping another
 * @param complete whether all of it was looked at before the time ran out
 */
public record Redaction(String text, List<Finding> findings, boolean complete) {
  public Redaction {
    findings = List.copyOf(findings);
  }
}
