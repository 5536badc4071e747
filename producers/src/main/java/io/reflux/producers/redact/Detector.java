package io.reflux.producers.redact;

/** Looks at one place of a text; reads no more than a bounded stretch around it. */
interface Detector {
  /**
   * @param at where the character stands that makes the place worth a look
   */
  void look(String text, int at, Findings found);
}
