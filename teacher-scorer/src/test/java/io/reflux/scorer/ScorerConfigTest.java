package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ScorerConfigTest {
  @Test
  void defaults() {
    ScorerConfig config = Configs.of(Map.of());

    assertThat(config.teacher()).isEmpty();
    assertThat(config.topK()).isEqualTo(16);
    assertThat(config.batchTokens()).isEqualTo(4096);
    assertThat(config.batchDelay()).isEqualTo(Duration.ofMillis(20));
    assertThat(config.maxSequenceTokens()).isEqualTo(1024);
    assertThat(config.maxResponseTokens()).isEqualTo(128);
    assertThat(config.temperature()).isZero();
    assertThat(config.slots()).isEqualTo(8);
    assertThat(config.maxInFlight()).isEqualTo(2048);
    assertThat(config.maxInFlightTokens()).isEqualTo(262_144);
    assertThat(config.commitInterval()).isEqualTo(Duration.ofMillis(100));
    assertThat(config.cacheBytes()).isEqualTo(64 << 20);
    assertThat(config.threads()).isEqualTo(1);
    assertThat(config.device()).isEqualTo("cpu");
    assertThat(config.precision()).isEqualTo("auto");
    assertThat(config.encoding()).isEqualTo("topk");
    assertThat(config.rolloutEncoding()).isEqualTo("support");
    assertThat(config.draws()).isEqualTo(50);
    assertThat(config.labelTemperature()).isEqualTo(1);
    assertThat(config.group()).isEqualTo("scorer");
    assertThat(config.instance()).isEmpty();
    assertThat(config.transactionTimeout()).isEqualTo(Duration.ofSeconds(15));
    assertThat(config.drainTimeout()).isEqualTo(Duration.ofSeconds(10));
    assertThat(config.remote().url()).isEmpty();
    assertThat(config.remote().model()).isEmpty();
    assertThat(config.remote().api()).isEqualTo("vllm");
    assertThat(config.remote().concurrency()).isEqualTo(16);
    assertThat(config.remote().timeout()).isEqualTo(Duration.ofSeconds(60));
    assertThat(config.remote().attempts()).isEqualTo(5);
    assertThat(config.remote().apiKey()).isEmpty();
    assertThat(config.http().host()).isEqualTo("127.0.0.1");
    assertThat(config.http().port()).isEqualTo(7073);
  }
}
