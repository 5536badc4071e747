package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SeedsTest {
  @Test
  void aNameHasOneSeedForEachPurpose() {
    assertThat(Seeds.of("draws", "r1")).isEqualTo(Seeds.of("draws", "r1"));
    assertThat(Seeds.of("draws", "r1")).isNotEqualTo(Seeds.of("answer", "r1"));
    assertThat(Seeds.of("draws", "r")).isNotEqualTo(Seeds.of("draw", "sr"));
  }

  @Test
  void namesThatStringHashesConfuseHaveSeedsOfTheirOwn() {
    assertThat("Aa").hasSameHashCodeAs("BB");
    assertThat(Seeds.of("draws", "Aa")).isNotEqualTo(Seeds.of("draws", "BB"));
    Set<Long> seeds = new HashSet<>();
    Set<Integer> low = new HashSet<>();
    for (int i = 0; i < 20_000; i++) {
      seeds.add(Seeds.of("draws", "request-" + i));
      low.add((int) Seeds.of("draws", "request-" + i) & 0xff);
    }
    assertThat(seeds).hasSize(20_000);
    assertThat(low).hasSize(256);
  }
}
