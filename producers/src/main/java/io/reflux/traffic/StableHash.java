package io.reflux.traffic;

import java.nio.charset.StandardCharsets;

/** A hash of text that is the same in every process and release, for choices that must agree. */
public final class StableHash {
  private static final long FNV_OFFSET = 0xCBF29CE484222325L;
  private static final long FNV_PRIME = 0x100000001B3L;

  private StableHash() {}

  /** FNV-1a over UTF-8, finished by SplitMix64, as a fraction in [0, 1). */
  public static double fraction(String text) {
    long hash = FNV_OFFSET;
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      hash = (hash ^ (b & 0xFF)) * FNV_PRIME;
    }
    return (SeededRandom.mix(hash) >>> 11) * 0x1.0p-53;
  }
}
