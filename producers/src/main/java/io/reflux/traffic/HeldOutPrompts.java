package io.reflux.traffic;

/** Which prompts are kept out of traffic, so that they can test what was learned from it. */
public final class HeldOutPrompts {
  private HeldOutPrompts() {}

  /**
   * Decides by a hash of the text alone, so that every process and every run agrees.
   *
   * @param fraction of all prompts, 0 to 1
   */
  public static boolean isHeldOut(String prompt, double fraction) {
    return StableHash.fraction(prompt) < fraction;
  }
}
