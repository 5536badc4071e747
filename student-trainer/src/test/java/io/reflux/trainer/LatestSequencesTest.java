package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class LatestSequencesTest {
  @Test
  void holdsTheNewest() {
    LatestSequences latest = new LatestSequences(3, Long.MAX_VALUE, 0);
    for (int i = 0; i < 5; i++) {
      latest.add(Sequences.of("q" + i, "s" + i, 0, 1 + i));
    }
    assertThat(ids(latest.all())).containsExactly("q2", "q3", "q4");
    assertThat(latest.rows()).isEqualTo(3 + 4 + 5);
    assertThat(ids(latest.newest(2))).containsExactly("q3", "q4");
  }

  @Test
  void aRareSegmentKeepsItsReserve() {
    LatestSequences latest = new LatestSequences(16, Long.MAX_VALUE, 0.5);
    for (int i = 0; i < 6; i++) {
      latest.add(Sequences.of("rare" + i, "rare", 0, 1));
    }
    for (int i = 0; i < 100; i++) {
      latest.add(Sequences.of("q" + i, "often", 0, 1));
    }
    // Half of 16 for two segments: four each.
    assertThat(ids(latest.all()))
        .hasSize(16)
        .startsWith("rare2", "rare3", "rare4", "rare5", "q88")
        .endsWith("q99");
    assertThat(ids(latest.newest(8)))
        .containsExactly("rare4", "rare5", "q94", "q95", "q96", "q97", "q98", "q99");
  }

  @Test
  void holdsNoMoreBytesThanItMay() {
    long bytes = Sequences.of("q", "s", 0, 100).bytes();
    LatestSequences latest = new LatestSequences(100, 3 * bytes, 0);
    for (int i = 0; i < 5; i++) {
      latest.add(Sequences.of("q" + i, "s", 0, 100));
    }
    assertThat(ids(latest.all())).containsExactly("q2", "q3", "q4");
    latest.add(Sequences.of("huge", "s", 0, 10_000));
    assertThat(latest.all()).isEmpty();
    assertThat(latest.rows()).isZero();
  }

  private static List<String> ids(List<LabelledSequence> sequences) {
    return sequences.stream().map(LabelledSequence::requestId).toList();
  }
}
