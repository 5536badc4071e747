package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.scorer.Batcher.Batch;
import io.reflux.scorer.Batcher.Kind;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

/** Time is a number here: nanoseconds are milliseconds' millionths and nobody sleeps. */
class BatcherTest {
  private static final long MS = 1_000_000;
  private static final Duration DELAY = Duration.ofMillis(20);

  private record Item(int length, int number) {}

  private static Batcher<Item> batcher(int budget) {
    return new Batcher<>(Item::length, budget, DELAY);
  }

  private static Item item(int length) {
    return new Item(length, 0);
  }

  @Property(tries = 300)
  void everySequenceIsInOneBatchWithinBudgetAndPadding(
      @ForAll @Size(max = 80) List<@IntRange(min = 1, max = 200) Integer> lengths,
      @ForAll @IntRange(min = 1, max = 400) int budget) {
    Batcher<Item> batcher = batcher(budget);
    List<Item> all = new ArrayList<>();
    for (int i = 0; i < lengths.size(); i++) {
      Item item = new Item(lengths.get(i), i);
      all.add(item);
      batcher.add(item, i % 3 == 0 ? Kind.ROLLOUT : Kind.REQUEST, i);
    }
    List<Item> out = new ArrayList<>();
    long later = lengths.size() + DELAY.toNanos();
    for (var next = batcher.next(later); next.isPresent(); next = batcher.next(later)) {
      Batch<Item> batch = next.get();
      int longest = batch.items().stream().mapToInt(Item::length).max().orElseThrow();
      long tokens = batch.items().stream().mapToLong(Item::length).sum();
      assertThat(batch.tokens()).isEqualTo(tokens);
      assertThat(batch.paddedTokens()).isEqualTo((long) longest * batch.items().size());
      assertThat(batch.items().size() == 1 || batch.paddedTokens() <= budget).isTrue();
      long padding = batch.paddedTokens() - tokens;
      assertThat(
              padding <= Batcher.FREE_PADDING_TOKENS
                  || padding <= Batcher.MOST_PADDING * batch.paddedTokens())
          .isTrue();
      out.addAll(batch.items());
    }
    assertThat(out).containsExactlyInAnyOrderElementsOf(all);
    assertThat(batcher.size()).isZero();
    assertThat(batcher.nanosUntilDue(later)).isEqualTo(Long.MAX_VALUE);
  }

  @Test
  void shortAndLongSequencesDoNotShareABatch() {
    Batcher<Item> batcher = batcher(4096);
    for (int length : new int[] {20, 900, 22, 880, 21}) {
      batcher.add(item(length), Kind.REQUEST, 0);
    }
    assertThat(batcher.next(20 * MS).orElseThrow().items())
        .extracting(Item::length)
        .containsExactlyInAnyOrder(20, 21, 22);
    assertThat(batcher.next(20 * MS).orElseThrow().items())
        .extracting(Item::length)
        .containsExactlyInAnyOrder(880, 900);
  }

  @Test
  void nothingGoesBeforeTheDelayUnlessABatchIsFull() {
    Batcher<Item> batcher = batcher(1000);
    for (int i = 0; i < 9; i++) {
      batcher.add(item(100), Kind.REQUEST, i * MS);
    }
    assertThat(batcher.next(19 * MS)).isEmpty();
    assertThat(batcher.nanosUntilDue(19 * MS)).isEqualTo(MS);
    batcher.add(item(100), Kind.ROLLOUT, 19 * MS);
    assertThat(batcher.next(19 * MS).orElseThrow().items()).hasSize(10);
  }

  @Test
  void whenTheDelayIsOverTheOldestGoesWithWhoeverFits() {
    Batcher<Item> batcher = batcher(10_000);
    batcher.add(item(500), Kind.REQUEST, 0);
    batcher.add(item(480), Kind.REQUEST, 15 * MS);
    batcher.add(item(90), Kind.REQUEST, 10 * MS);

    assertThat(batcher.next(20 * MS - 1)).isEmpty();
    assertThat(batcher.next(20 * MS).orElseThrow().items())
        .extracting(Item::length)
        .containsExactlyInAnyOrder(500, 480);
    // The other one is not yet due.
    assertThat(batcher.next(20 * MS)).isEmpty();
    assertThat(batcher.nanosUntilDue(20 * MS)).isEqualTo(10 * MS);
  }

  @Test
  void underABacklogBatchesAreFullAndDense() {
    Batcher<Item> batcher = batcher(4096);
    for (int i = 0; i < 1000; i++) {
      batcher.add(new Item(30 + (i * 7919) % 170, i), Kind.REQUEST, 0);
    }
    long tokens = 0;
    long padded = 0;
    int batches = 0;
    while (batcher.size() > 200) {
      Batch<Item> batch = batcher.next(100 * MS).orElseThrow();
      tokens += batch.tokens();
      padded += batch.paddedTokens();
      batches++;
    }
    assertThat((double) padded / (batches * 4096L)).isGreaterThan(0.85);
    assertThat(1 - (double) tokens / padded).isLessThan(0.05);
  }

  @Test
  void kindsTakeTurnsInBeingTheOldest() {
    Batcher<Item> batcher = batcher(100);
    for (int i = 0; i < 10; i++) {
      batcher.add(new Item(100, i), Kind.ROLLOUT, i);
    }
    batcher.add(new Item(50, 10), Kind.REQUEST, 20);
    batcher.add(new Item(50, 11), Kind.REQUEST, 21);

    List<Integer> numbers = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      numbers.add(batcher.next(100 * MS).orElseThrow().items().get(0).number());
    }
    // The two requests share a batch.
    assertThat(numbers).containsExactly(10, 0, 1, 2);
  }

  @Test
  void whatComesBackIsTheNextToGo() {
    Batcher<Item> batcher = batcher(100);
    batcher.add(new Item(100, 1), Kind.REQUEST, 0);
    batcher.add(new Item(100, 2), Kind.REQUEST, 1);
    Item first = batcher.next(20 * MS + 1).orElseThrow().items().get(0);
    batcher.putBack(first, Kind.REQUEST, 0);

    assertThat(batcher.next(20 * MS + 1).map(Batch::items)).isEqualTo(Optional.of(List.of(first)));
  }

  @Test
  void forgottenSequencesDoNotCome() {
    Batcher<Item> batcher = batcher(1000);
    for (int i = 0; i < 10; i++) {
      batcher.add(new Item(100, i), Kind.REQUEST, 0);
    }
    batcher.removeIf(item -> item.number() < 9);

    assertThat(batcher.next(0)).isEmpty();
    assertThat(batcher.next(20 * MS).orElseThrow().items()).containsExactly(new Item(100, 9));
  }

  @Test
  void aSequenceLongerThanTheBudgetGoesAlone() {
    Batcher<Item> batcher = batcher(100);
    batcher.add(item(700), Kind.REQUEST, 0);
    batcher.add(item(690), Kind.REQUEST, 0);

    assertThat(batcher.next(0).orElseThrow().items()).hasSize(1);
  }
}
