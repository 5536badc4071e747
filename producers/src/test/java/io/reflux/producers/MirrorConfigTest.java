package io.reflux.producers;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;

class MirrorConfigTest {
  @Test
  void defaults() {
    MirrorConfig config = MirrorConfigs.of(Map.of());

    assertThat(config.host()).isEqualTo("127.0.0.1");
    assertThat(config.port()).isEqualTo(7070);
    assertThat(config.source()).isEqualTo("mirror");
    assertThat(config.segment()).isEqualTo("default");
    assertThat(config.sampling()).isEqualTo(1);
    assertThat(config.bufferBytes()).isEqualTo(32 << 20);
    assertThat(config.maxRequestBytes()).isEqualTo(1 << 20);
    assertThat(config.maxBodyBytes()).isEqualTo(8 << 20);
    assertThat(config.waitTimeout()).isEqualTo(Duration.ofSeconds(30));
    assertThat(config.drainTimeout()).isEqualTo(Duration.ofSeconds(10));
  }
}
