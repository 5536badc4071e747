package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class BatchPlanTest {
  @Property(tries = 300)
  void everySequenceIsInOneBatchWithinTheBudget(
      @ForAll @Size(max = 60) List<@IntRange(min = 1, max = 200) Integer> lengths,
      @ForAll @IntRange(min = 1, max = 400) int budget) {
    BatchPlan<Integer> plan = BatchPlan.of(lengths, Integer::intValue, budget);

    assertThat(plan.batches().stream().flatMap(List::stream).toList())
        .containsExactlyInAnyOrderElementsOf(lengths);
    long padded = 0;
    for (List<Integer> batch : plan.batches()) {
      int longest = batch.stream().mapToInt(Integer::intValue).max().orElseThrow();
      assertThat(batch.size() == 1 || longest * batch.size() <= budget).isTrue();
      padded += (long) longest * batch.size();
    }
    assertThat(plan.paddedTokens()).isEqualTo(padded);
    assertThat(plan.tokens()).isEqualTo(lengths.stream().mapToLong(Integer::longValue).sum());
  }

  @Test
  void likeLengthsShareABatch() {
    BatchPlan<Integer> plan = BatchPlan.of(List.of(10, 100, 11, 99), Integer::intValue, 200);

    assertThat(plan.batches()).containsExactly(List.of(100, 99), List.of(11, 10));
    assertThat(plan.paddedTokens()).isEqualTo(222);
  }
}
