package io.reflux.scorer;

import java.util.Arrays;

/** Token ids and a number that goes with them, as a key. The ids are not copied. */
final class IdsKey {
  private final int[] ids;
  private final int number;
  private final int hash;

  IdsKey(int[] ids, int number) {
    this.ids = ids;
    this.number = number;
    this.hash = 31 * Arrays.hashCode(ids) + number;
  }

  long bytes() {
    return 4L * ids.length;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof IdsKey that
        && hash == that.hash
        && number == that.number
        && Arrays.equals(ids, that.ids);
  }

  @Override
  public int hashCode() {
    return hash;
  }
}
