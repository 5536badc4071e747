package io.reflux.schemas.labels;

/** Which prompts are kept out of training, so that quality can be measured on them. */
public final class HeldOut {
  private HeldOut() {}

  /**
   * Whether a prompt is held out: the same answer for the same ids everywhere and for good. A
   * prompt held out at one fraction is held out at every larger one.
   *
   * @param fraction of all prompts, 0 to 1
   */
  public static boolean isHeldOut(int[] promptTokenIds, double fraction) {
    if (!(fraction >= 0 && fraction <= 1)) {
      throw new IllegalArgumentException("fraction: " + fraction + " (expected: 0.0 to 1.0)");
    }
    // 53 bits make a double in [0, 1).
    return (hash(promptTokenIds) >>> 11) * 0x1.0p-53 < fraction;
  }

  /** FNV-1a over the ids' bytes, lowest first, and a finaliser that mixes all bits. */
  private static long hash(int[] ids) {
    long hash = 0xcbf29ce484222325L;
    for (int id : ids) {
      for (int shift = 0; shift < 32; shift += 8) {
        hash = (hash ^ ((id >>> shift) & 0xff)) * 0x100000001b3L;
      }
    }
    hash = (hash ^ (hash >>> 33)) * 0xff51afd7ed558ccdL;
    hash = (hash ^ (hash >>> 33)) * 0xc4ceb9fe1a85ec53L;
    return hash ^ (hash >>> 33);
  }
}
