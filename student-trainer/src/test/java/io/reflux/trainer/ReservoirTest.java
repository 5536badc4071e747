package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class ReservoirTest {
  private static final long HALF_LIFE = 1_000_000;

  @Property(tries = 300)
  void noSegmentStarves(
      @ForAll @Size(max = 200) List<@IntRange(max = 6) Integer> offered,
      @ForAll @IntRange(min = 1, max = 40) int capacity) {
    Reservoir reservoir = new Reservoir(capacity, Long.MAX_VALUE, HALF_LIFE);
    RandomBits random = new RandomBits(capacity);
    Map<String, Integer> offers = new HashMap<>();
    for (int i = 0; i < offered.size(); i++) {
      String segment = "s" + offered.get(i);
      offers.merge(segment, 1, Integer::sum);
      // A segment's number is also its age: the old ones have nothing but their share.
      long time = offered.get(i) * 20 * HALF_LIFE;
      reservoir.offer(Sequences.of("q" + i, segment, time, 1), random);
    }
    Map<String, Integer> held = new HashMap<>();
    reservoir.contents().forEach(kept -> held.merge(kept.sequence().segment(), 1, Integer::sum));
    assertThat(reservoir.size()).isEqualTo(Math.min(capacity, offered.size()));
    int share = offers.isEmpty() ? 0 : capacity / offers.size();
    offers.forEach(
        (segment, count) ->
            assertThat(held.getOrDefault(segment, 0))
                .as(segment)
                .isGreaterThanOrEqualTo(Math.min(count, share)));
  }

  @Property(tries = 300)
  void holdsNoMoreBytesThanItMay(
      @ForAll @Size(max = 100) List<@IntRange(min = 1, max = 400) Integer> rows,
      @ForAll @IntRange(min = 1, max = 20_000) int maxBytes) {
    Reservoir reservoir = new Reservoir(1000, maxBytes, HALF_LIFE);
    RandomBits random = new RandomBits(maxBytes);
    for (int i = 0; i < rows.size(); i++) {
      reservoir.offer(Sequences.of("q" + i, "s" + i % 3, i, rows.get(i)), random);
      long bytes = reservoir.contents().stream().mapToLong(kept -> kept.sequence().bytes()).sum();
      long held = reservoir.contents().stream().mapToLong(kept -> kept.sequence().rows()).sum();
      assertThat(reservoir.bytes()).isEqualTo(bytes).isLessThanOrEqualTo(maxBytes);
      assertThat(reservoir.rows()).isEqualTo(held);
    }
  }

  @Test
  void aHalfLifeHalvesTheChanceToStay() {
    int older = 0;
    int newer = 0;
    for (int run = 0; run < 200; run++) {
      Reservoir reservoir = new Reservoir(20, Long.MAX_VALUE, HALF_LIFE);
      RandomBits random = new RandomBits(run);
      for (int i = 0; i < 1000; i++) {
        // In turns: how late a sequence was offered does not matter, how late it happened does.
        long time = i % 2 * HALF_LIFE;
        reservoir.offer(Sequences.of("q" + i, "s", time, 1), random);
      }
      for (ReplayState.Sampled kept : reservoir.contents()) {
        newer += kept.sequence().eventMillis() > 0 ? 1 : 0;
        older += kept.sequence().eventMillis() > 0 ? 0 : 1;
      }
    }
    // 4000 draws, of which two thirds should be newer: five sigma are 0.037.
    assertThat((double) newer / (newer + older)).isCloseTo(2 / 3.0, within(0.04));
  }

  @Test
  void aNarrowerOneTakesOverWhatHasPriority() {
    Reservoir large = new Reservoir(100, Long.MAX_VALUE, HALF_LIFE);
    RandomBits random = new RandomBits(1);
    for (int i = 0; i < 100; i++) {
      large.offer(Sequences.of("q" + i, "s" + i % 2, i * 10L * HALF_LIFE, 1), random);
    }
    Reservoir small = new Reservoir(10, Long.MAX_VALUE, HALF_LIFE);
    small.restore(large.contents());
    assertThat(small.contents())
        .hasSize(10)
        .allSatisfy(
            kept -> assertThat(kept.sequence().eventMillis()).isGreaterThan(800 * HALF_LIFE));
  }
}
