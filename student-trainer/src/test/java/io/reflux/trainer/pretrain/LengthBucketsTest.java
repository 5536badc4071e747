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
      for (int i = 1; i < batches.size(); i++) {
        // No two that follow each other would have fitted together.
        assertThat(tokens(batches.get(i - 1)) + batches.get(i).get(0).tokenIds().length)
            .isGreaterThan(batchTokens);
      }
    }
  }

  private static int tokens(List<TrainingSequence> batch) {
    return batch.stream().mapToInt(sequence -> sequence.tokenIds().length).sum();
  }
}
