package io.reflux.traffic;

import java.nio.charset.StandardCharsets;

/** Which prompts are kept out of traffic, so that they can test what was learned from it. */
public final class HeldOutPrompts {
  private HeldOutPrompts() {}

  /**
   * Decides by a hash of the text alone, so that every process and every run agrees.
   *
   * @param fraction of all prompts, 0 to 1
   */
  public static boolean isHeldOut(String prompt, double fraction) {
    return hash(prompt) < fraction;
  }

  /** FNV-1a over UTF-8, finished by SplitMix64, as a fraction in [0, 1). */
  private static double hash(String prompt) {
    long hash = 0xCBF29CE484222325L;
    for (byte b : prompt.getBytes(StandardCharsets.UTF_8)) {
      hash = (hash ^ (b & 0xFF)) * 0x100000001B3L;
    }
    return (SeededRandom.mix(hash) >>> 11) * 0x1.0p-53;
  }
}
