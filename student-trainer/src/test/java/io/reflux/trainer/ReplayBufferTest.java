package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ReplayBufferTest {
  @Test
  void everySequenceIsDrawnOnceBeforeLong() {
    ReplayBuffer buffer = new ReplayBuffer(10, 20, 0.5);
    RandomBits random = new RandomBits(1);
    for (int i = 0; i < 15; i++) {
      buffer.add(sequence(i), random);
    }
    Set<String> drawn = new HashSet<>();
    for (int i = 0; i < 60; i++) {
      drawn.add(buffer.draw(random).requestId());
    }
    assertThat(drawn).hasSize(15);
  }

  @Test
  void theSampleIsUniformOverEverythingOlder() {
    Map<Integer, Integer> survivals = new HashMap<>();
    int runs = 2000;
    for (int run = 0; run < runs; run++) {
      ReplayBuffer buffer = new ReplayBuffer(10, 5, 0.5);
      RandomBits random = new RandomBits(run);
      for (int i = 0; i < 55; i++) {
        buffer.add(sequence(i), random);
        buffer.draw(random);
      }
      for (int i = 0; i < 200 && buffer.freshSize() > 0; i++) {
        buffer.draw(random);
      }
      for (LabelledSequence kept : buffer.contents().sample()) {
        survivals.merge(Integer.parseInt(kept.requestId()), 1, Integer::sum);
      }
    }
    for (int i = 0; i < 50; i++) {
      // Of 50 that left the recent ones, 10 stay: a fifth of the runs, give or take five sigma.
      assertThat((double) survivals.getOrDefault(i, 0) / runs).isCloseTo(0.2, within(0.045));
    }
  }

  @Test
  void halfOfWhatIsRepeatedIsRecent() {
    ReplayBuffer buffer = new ReplayBuffer(1000, 10, 0.5);
    RandomBits random = new RandomBits(3);
    for (int i = 0; i < 500; i++) {
      buffer.add(sequence(i), random);
    }
    while (buffer.freshSize() > 0) {
      buffer.draw(random);
    }
    int recent = 0;
    for (int i = 0; i < 4000; i++) {
      recent += Integer.parseInt(buffer.draw(random).requestId()) >= 490 ? 1 : 0;
    }
    assertThat(recent / 4000.0).isCloseTo(0.5, within(0.04));
  }

  @Test
  void countsTheRowsItHolds() {
    ReplayBuffer buffer = new ReplayBuffer(7, 3, 0.5);
    RandomBits random = new RandomBits(4);
    for (int i = 0; i < 100; i++) {
      buffer.add(sequence(i), random);
      buffer.draw(random);
      ReplayState contents = buffer.contents();
      long rows = 0;
      for (var part : List.of(contents.fresh(), contents.recent(), contents.sample())) {
        rows += part.stream().mapToLong(LabelledSequence::rows).sum();
      }
      assertThat(buffer.rows()).isEqualTo(rows);
    }
  }

  @Test
  void aSmallerBufferTakesOverTheNewest() {
    ReplayBuffer large = new ReplayBuffer(50, 10, 0.5);
    RandomBits random = new RandomBits(5);
    for (int i = 0; i < 43; i++) {
      large.add(sequence(i), random);
    }
    while (large.freshSize() > 0) {
      large.draw(random);
    }
    ReplayBuffer small = new ReplayBuffer(20, 4, 0.5);
    small.restore(large.contents());
    assertThat(small.contents().recent())
        .extracting(LabelledSequence::requestId)
        .containsExactly("39", "40", "41", "42");
    assertThat(small.size()).isEqualTo(24);
  }

  private static LabelledSequence sequence(int number) {
    int rows = 1 + number % 3;
    return new LabelledSequence(
        Integer.toString(number),
        "s",
        0,
        1,
        new int[2 + rows],
        2,
        5,
        1,
        new byte[0],
        new byte[0],
        new int[0],
        Optional.empty());
  }
}
