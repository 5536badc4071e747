package io.reflux.trainer.pretrain;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class LengthBucketsTest {
  @Property(tries = 200)
  void everySequenceIsInOneBatchAndNoBatchIsTooLarge(
      @ForAll @Size(max = 300) List<@IntRange(min = 2, max = 200) Integer> lengths,
      @ForAll @IntRange(min = 1, max = 500) int batchTokens,
      @ForAll long seed) {
    List<TrainingSequence> sequences = new ArrayList<>();
    lengths.forEach(length -> sequences.add(TrainingSequence.of(new int[length])));
    for (List<List<TrainingSequence>> batches :
        List.of(
            LengthBuckets.shuffled(sequences, batchTokens, new Random(seed)),
            LengthBuckets.cut(sequences, batchTokens))) {
      assertThat(batches.stream().flatMap(List::stream))
          .usingElementComparator((a, b) -> a == b ? 0 : 1)
          .containsExactlyInAnyOrderElementsOf(sequences);
      for (List<TrainingSequence> batch : batches) {
        assertThat(batch.size() == 1 || tokens(batch) <= batchTokens).isTrue();
      }
      assertThat(batches).hasSize(fewest(inOrder(batches), batchTokens));
    }
    List<List<TrainingSequence>> parts = LengthBuckets.cut(sequences, batchTokens);
    for (int i = 1; i < parts.size(); i++) {
      // No two that follow each other would have fitted together.
      assertThat(tokens(parts.get(i - 1)) + parts.get(i).get(0).tokenIds().length)
          .isGreaterThan(batchTokens);
    }
  }

  @Property(tries = 100)
  void noBatchOfAShuffleCouldBeSmallerUnlessThereWereMore(
      @ForAll @Size(min = 1, max = 300) List<@IntRange(min = 2, max = 200) Integer> lengths,
      @ForAll @IntRange(min = 200, max = 2000) int batchTokens,
      @ForAll long seed) {
    List<TrainingSequence> sequences = new ArrayList<>();
    lengths.forEach(length -> sequences.add(TrainingSequence.of(new int[length])));
    List<List<TrainingSequence>> batches =
        LengthBuckets.shuffled(sequences, batchTokens, new Random(seed));
    int largest = batches.stream().mapToInt(LengthBucketsTest::tokens).max().orElseThrow();
    int longest = lengths.stream().mapToInt(length -> length).max().orElseThrow();
    if (largest > longest) {
      assertThat(fewest(inOrder(batches), largest - 1)).isGreaterThan(batches.size());
    }
  }

  private static List<TrainingSequence> inOrder(List<List<TrainingSequence>> batches) {
    return batches.stream().flatMap(List::stream).toList();
  }

  /** Batches that sequences need in this order: each takes what fits. */
  private static int fewest(List<TrainingSequence> sequences, int batchTokens) {
    int batches = 0;
    long room = 0;
    for (TrainingSequence sequence : sequences) {
      int length = sequence.tokenIds().length;
      if (batches == 0 || length > room) {
        batches++;
        room = batchTokens;
      }
      room -= length;
    }
    return batches;
  }

  private static int tokens(List<TrainingSequence> batch) {
    return batch.stream().mapToInt(sequence -> sequence.tokenIds().length).sum();
  }
}
