package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class CodecFuzzTest {
  @Test
  void damageIsRefusedOrReadAsSomethingConsistent() {
    CodecFuzz.Outcome outcome = CodecFuzz.run(20_261_121, 60_000);

    assertThat(outcome.rejected() + outcome.accepted()).isEqualTo(60_000);
    assertThat(outcome.rejected()).isGreaterThan(50_000);
    // With the checksum made to fit, some damage can only read as other labels.
    assertThat(outcome.accepted()).isGreaterThan(500);
  }

  @Test
  void sameSeedRunsTheSame() {
    assertThat(CodecFuzz.run(5, 2000)).isEqualTo(CodecFuzz.run(5, 2000));
  }
}
