package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class IdsCacheTest {
  private static IdsKey key(int id, int number) {
    return new IdsKey(new int[] {id, 2, 3}, number);
  }

  private static IdsCache<int[]> cache(long bytes) {
    return new IdsCache<>(bytes, value -> 4L * value.length);
  }

  @Test
  void forgetsTheLeastRecentlyUsedWhenFull() {
    IdsCache<int[]> cache = cache(3 * (160 + 12 + 8));
    for (int id = 0; id < 3; id++) {
      cache.put(key(id, 8), new int[] {id, 9});
    }
    assertThat(cache.get(key(0, 8))).containsExactly(0, 9);
    cache.put(key(3, 8), new int[] {3, 9});

    assertThat(cache.size()).isEqualTo(3);
    assertThat(cache.get(key(1, 8))).isNull();
    assertThat(cache.get(key(0, 8))).isNotNull();
  }

  @Test
  void anotherNumberIsAnotherKey() {
    IdsCache<int[]> cache = cache(1000);
    cache.put(key(1, 8), new int[] {4});
    assertThat(cache.get(key(1, 9))).isNull();
  }

  @Test
  void keepsNothingThatDoesNotFitAndCountsAReplacementOnce() {
    IdsCache<int[]> cache = cache(200);
    cache.put(key(1, 8), new int[100]);
    assertThat(cache.size()).isZero();
    for (int i = 0; i < 5; i++) {
      cache.put(key(1, 8), new int[] {i});
    }
    assertThat(cache.get(key(1, 8))).containsExactly(4);
    assertThat(cache.bytes()).isEqualTo(160 + 12 + 4);
  }

  @Property(tries = 100)
  void neverHoldsMoreThanItsBound(
      @ForAll @Size(max = 60) List<@IntRange(min = 0, max = 90) Integer> puts,
      @ForAll @IntRange(min = 0, max = 2000) int bound) {
    IdsCache<int[]> cache = cache(bound);
    for (int put : puts) {
      cache.put(key(put % 10, 1), new int[put]);
      assertThat(cache.bytes()).isBetween(0L, (long) bound);
    }
  }
}
