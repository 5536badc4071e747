package io.reflux.scorer;

/** Seeds from names: the same name gives the same seed, in every process. */
final class Seeds {
  // FNV-1a, 64 bits: offset basis and prime.
  private static final long BASIS = 0xcbf29ce484222325L;
  private static final long PRIME = 0x100000001b3L;

  // The finaliser of MurmurHash3, 128 bits: FNV alone leaves its high bits poorly mixed.
  private static final long MIX_1 = 0xff51afd7ed558ccdL;
  private static final long MIX_2 = 0xc4ceb9fe1a85ec53L;

  private Seeds() {}

  /**
   * A seed.
   *
   * @param purpose different purposes of one name have unrelated seeds
   */
  static long of(String purpose, String name) {
    // Neither half can run into the other: a zero character stands in between.
    long hash = mixIn(mixIn(BASIS, purpose) * PRIME, name);
    hash = (hash ^ (hash >>> 33)) * MIX_1;
    hash = (hash ^ (hash >>> 33)) * MIX_2;
    return hash ^ (hash >>> 33);
  }

  private static long mixIn(long hash, String text) {
    long mixed = hash;
    for (int i = 0; i < text.length(); i++) {
      char character = text.charAt(i);
      mixed = (mixed ^ (character & 0xff)) * PRIME;
      mixed = (mixed ^ (character >>> 8)) * PRIME;
    }
    return mixed;
  }
}
