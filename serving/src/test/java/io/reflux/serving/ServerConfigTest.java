package io.reflux.serving;

import static org.assertj.core.api.Assertions.assertThat;

import io.smallrye.config.SmallRyeConfigBuilder;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class ServerConfigTest {
  @Test
  void defaults() {
    ServerConfig config =
        new SmallRyeConfigBuilder()
            .withMapping(ServerConfig.class)
            .build()
            .getConfigMapping(ServerConfig.class);
    assertThat(config.host()).isEqualTo("127.0.0.1");
    assertThat(config.port()).isEqualTo(7071);
    assertThat(config.channel()).isEqualTo("stable");
    assertThat(config.dataDir()).isEqualTo(Path.of(".reflux/serving"));
    assertThat(config.keepSnapshots()).isEqualTo(2);
    assertThat(config.modelName()).isEqualTo("student");
    assertThat(config.slots()).isEqualTo(8);
    assertThat(config.queueLimit()).isEqualTo(64);
    assertThat(config.maxPositions()).isEqualTo(2048);
    assertThat(config.defaultMaxTokens()).isEqualTo(256);
    assertThat(config.maxTokensLimit()).isEqualTo(1024);
    assertThat(config.threads()).isEqualTo(1);
    assertThat(config.device()).isEqualTo("cpu");
    assertThat(config.fleet()).isEqualTo("server");
    assertThat(config.golden()).isEmpty();
    assertThat(config.canaryChannel()).isEmpty();
    assertThat(config.canaryPercent()).isZero();
    assertThat(config.keyValues()).isEqualTo("full");
    assertThat(config.prefixCacheMib()).isEqualTo(64);
    assertThat(config.bodyTimeout()).isEqualTo(Duration.ofSeconds(30));
    assertThat(config.idleTimeout()).isEqualTo(Duration.ofSeconds(60));
    assertThat(config.requestDeadline()).isEqualTo(Duration.ofMinutes(5));
    assertThat(config.mirror()).isFalse();
    assertThat(config.drainTimeout()).isEqualTo(Duration.ofSeconds(20));
  }
}
