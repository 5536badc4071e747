package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class ReplayBufferTest {
  @Test
  void everySequenceIsDrawnOnceBeforeLong() {
    ReplayBuffer buffer = buffer(10, 20);
    RandomBits random = new RandomBits(1);
    for (int i = 0; i < 15; i++) {
      buffer.add(sequence(i), random);
    }
    Set<String> drawn = new HashSet<>();
    for (int i = 0; i < 60; i++) {
      drawn.add(buffer.draw(random).sequence().requestId());
    }
    assertThat(drawn).hasSize(15);
  }

  @Test
  void theSampleIsUniformOverEverythingOlder() {
    Map<Integer, Integer> survivals = new HashMap<>();
    int runs = 2000;
    for (int run = 0; run < runs; run++) {
      ReplayBuffer buffer = buffer(10, 5);
      RandomBits random = new RandomBits(run);
      for (int i = 0; i < 55; i++) {
        buffer.add(sequence(i), random);
        buffer.draw(random);
      }
      for (int i = 0; i < 200 && buffer.freshSize() > 0; i++) {
        buffer.draw(random);
      }
      for (ReplayState.Sampled kept : buffer.contents().sample()) {
        survivals.merge(Integer.parseInt(kept.sequence().requestId()), 1, Integer::sum);
      }
    }
    for (int i = 0; i < 50; i++) {
      // Of 50 that left the recent ones, 10 stay: a fifth of the runs, give or take five sigma.
      assertThat((double) survivals.getOrDefault(i, 0) / runs).isCloseTo(0.2, within(0.045));
    }
  }

  @Test
  void halfOfWhatIsRepeatedIsRecent() {
    ReplayBuffer buffer = buffer(1000, 10);
    RandomBits random = new RandomBits(3);
    for (int i = 0; i < 500; i++) {
      buffer.add(sequence(i), random);
    }
    while (buffer.freshSize() > 0) {
      buffer.draw(random);
    }
    int recent = 0;
    for (int i = 0; i < 4000; i++) {
      recent += Integer.parseInt(buffer.draw(random).sequence().requestId()) >= 490 ? 1 : 0;
    }
    assertThat(recent / 4000.0).isCloseTo(0.5, within(0.04));
  }

  @Test
  void countsTheRowsItHolds() {
    ReplayBuffer buffer = buffer(7, 3);
    RandomBits random = new RandomBits(4);
    for (int i = 0; i < 100; i++) {
      buffer.add(sequence(i), random);
      buffer.draw(random);
      ReplayState contents = buffer.contents();
      long rows = 0;
      for (var part : List.of(contents.fresh(), contents.recent(), sampled(contents))) {
        rows += part.stream().mapToLong(LabelledSequence::rows).sum();
      }
      assertThat(buffer.rows()).isEqualTo(rows);
    }
  }

  @Test
  void aSmallerBufferTakesOverTheNewest() {
    ReplayBuffer large = buffer(50, 10);
    RandomBits random = new RandomBits(5);
    for (int i = 0; i < 43; i++) {
      large.add(sequence(i), random);
    }
    while (large.freshSize() > 0) {
      large.draw(random);
    }
    ReplayBuffer small = buffer(20, 4);
    small.restore(large.contents());
    assertThat(small.contents().recent())
        .extracting(LabelledSequence::requestId)
        .containsExactly("39", "40", "41", "42");
    assertThat(small.size()).isEqualTo(24);
  }

  @Property(tries = 150)
  void staysWithinItsBoundsAndGoesOnFromAnywhere(
      @ForAll @Size(max = 120) List<@IntRange(max = 3) Integer> segments,
      @ForAll @IntRange(min = 1, max = 20) int capacity,
      @ForAll @IntRange(min = 2_000, max = 40_000) int bytes) {
    ReplayBuffer buffer = new ReplayBuffer(capacity, 5, 0.5, bytes, 1000);
    RandomBits random = new RandomBits(capacity);
    for (int i = 0; i < segments.size(); i++) {
      buffer.add(Sequences.of(i + "", "s" + segments.get(i), i * 100L, 1 + i % 50), random);
      assertThat(buffer.bytes()).isLessThanOrEqualTo(bytes);
      assertThat(buffer.freshSize()).isLessThanOrEqualTo(5);
      assertThat(buffer.contents().sample().size()).isLessThanOrEqualTo(capacity);
      assertThat(buffer.mix().values().stream().mapToInt(n -> n).sum()).isEqualTo(buffer.size());
      if (i % 3 != 0 && buffer.size() > 0) {
        ReplayBuffer other = new ReplayBuffer(capacity, 5, 0.5, bytes, 1000);
        other.restore(buffer.contents());
        RandomBits otherRandom = new RandomBits(0);
        otherRandom.restore(random.state());
        assertThat(other.draw(otherRandom)).isEqualTo(buffer.draw(random));
        assertThat(other.contents()).isEqualTo(buffer.contents());
        assertThat(other.rows()).isEqualTo(buffer.rows());
        assertThat(other.bytes()).isEqualTo(buffer.bytes());
      }
    }
  }

  @Test
  void whatIsTakenOutIsNotDrawnAgain() {
    ReplayBuffer buffer = buffer(50, 10);
    RandomBits random = new RandomBits(6);
    for (int i = 0; i < 40; i++) {
      buffer.add(sequence(i), random);
    }
    while (buffer.freshSize() > 0) {
      buffer.draw(random);
    }
    Set<LabelledSequence> poison = new HashSet<>();
    for (int i = 0; i < 10; i++) {
      poison.add(buffer.draw(random).sequence());
    }
    poison.forEach(buffer::remove);
    assertThat(buffer.size()).isEqualTo(40 - poison.size());
    for (int i = 0; i < 300; i++) {
      assertThat(poison).doesNotContain(buffer.draw(random).sequence());
    }
  }

  private static List<LabelledSequence> sampled(ReplayState contents) {
    return contents.sample().stream().map(ReplayState.Sampled::sequence).toList();
  }

  private static ReplayBuffer buffer(int capacity, int recentCapacity) {
    return new ReplayBuffer(capacity, recentCapacity, 0.5, 1 << 30, Long.MAX_VALUE);
  }

  private static LabelledSequence sequence(int number) {
    return Sequences.of(Integer.toString(number), "s", 0, 1 + number % 3);
  }
}
