package io.reflux.trainer.nn;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class PackingTest {
  @Property(tries = 100)
  void everyTokenGoesThroughOnceAndEveryRowKnowsItsToken(
      @ForAll @Size(max = 200) List<@IntRange(min = 2, max = 300) Integer> lengths,
      @ForAll long seed) {
    Random random = new Random(seed);
    List<TrainingSequence> sequences = new ArrayList<>();
    int next = 0;
    for (int length : lengths) {
      int[] ids = new int[length];
      for (int t = 0; t < length; t++) {
        ids[t] = next++;
      }
      int first = 1 + random.nextInt(length - 1);
      sequences.add(new TrainingSequence(ids, first, null, null, Objective.CROSS_ENTROPY, null));
    }
    Packing packing = new Packing(sequences);
    assertThat(packing.tokens()).isEqualTo(next);
    assertThat(packing.longest())
        .isEqualTo(lengths.stream().mapToInt(Integer::intValue).max().orElse(0));
    Set<Long> seen = new HashSet<>();
    for (long id : packing.tokenIds()) {
      assertThat(seen.add(id)).isTrue();
    }
    int row = 0;
    for (TrainingSequence sequence : sequences) {
      for (int i = 0; i < sequence.rows(); i++, row++) {
        long before = packing.tokenIds()[(int) packing.rowPositions()[row]];
        assertThat(before).isEqualTo(sequence.tokenIds()[sequence.firstPosition() + i] - 1);
      }
    }
    assertThat(packing.rowPositions()).hasSize(row);
    assertThat(packing.groups()).isLessThanOrEqualTo(lengths.size());
    assertThat(packing.attendedPositions()).isGreaterThanOrEqualTo(next);
  }

  @Test
  void likeLengthsMakeOneGroupWithoutPaddingAndUnlikeOnesFewWithLittle() {
    assertThat(new Packing(sequences(128, 128, 128)).groups()).isEqualTo(1);
    assertThat(new Packing(sequences(128, 128, 128)).attendedPositions()).isEqualTo(384);

    Random random = new Random(7);
    int[] mixed = random.ints(100, 10, 1000).toArray();
    Packing packing = new Packing(sequences(mixed));
    assertThat(packing.groups()).isLessThan(70);
    assertThat((double) packing.attendedPositions()).isLessThan(1.05 * packing.tokens());

    Packing twoKinds = new Packing(sequences(20, 1000, 21, 22, 19, 1000));
    assertThat(twoKinds.groups()).isEqualTo(2);
    assertThat(twoKinds.attendedPositions()).isEqualTo(4 * 22 + 2 * 1000);
  }

  private static List<TrainingSequence> sequences(int... lengths) {
    List<TrainingSequence> sequences = new ArrayList<>();
    for (int length : lengths) {
      sequences.add(TrainingSequence.of(new int[length]));
    }
    return sequences;
  }
}
