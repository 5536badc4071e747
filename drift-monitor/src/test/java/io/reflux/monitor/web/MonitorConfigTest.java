package io.reflux.monitor.web;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.monitor.drift.AlertOptions;
import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;

class MonitorConfigTest {
  @Test
  void defaults() {
    MonitorConfig config = Configs.of(Map.of());
    assertThat(config.host()).isEqualTo("127.0.0.1");
    assertThat(config.port()).isEqualTo(7072);
    assertThat(config.channel()).isEqualTo("stable");
    assertThat(config.dataDir()).isEqualTo(Path.of(".reflux/monitor"));
    assertThat(config.maxSegments()).isEqualTo(200);
    assertThat(config.window().size()).isEqualTo(Duration.ofSeconds(10));
    assertThat(config.window().grace()).isEqualTo(Duration.ofSeconds(2));
    assertThat(config.alert().raiseThreshold()).isEqualTo(0.3);
    assertThat(config.alert().clearThreshold()).isEqualTo(0.2);
    assertThat(config.alert().raiseWindows()).isEqualTo(2);
    assertThat(config.alert().clearWindows()).isEqualTo(2);
    assertThat(config.alert().armWindows()).isEqualTo(3);
    assertThat(config.alert().minRequests()).isEqualTo(3);
    assertThat(config.probe().threads()).isEqualTo(1);
    assertThat(config.probe().device()).isEqualTo("cpu");
    assertThat(config.probe().maxRequestsPerSecond()).isEqualTo(50);
    assertThat(config.probe().sampling()).isEqualTo(1);
    assertThat(config.probe().batchTokens()).isEqualTo(4096);
    assertThat(config.probe().prequential()).isTrue();
  }

  @Test
  void namesTheKeyThatIsOutOfRange() {
    assertThatThrownBy(() -> new AlertOptions(0.3, 0.4, 2, 2, 3, 3))
        .isInstanceOf(RefluxException.class)
        .hasMessage(
            "reflux.monitor.alert.clear-threshold: 0.4 (expected: above 0, to raise-threshold 0.3)");
    assertThatThrownBy(() -> new AlertOptions(0.3, 0.2, 2, 0, 3, 3))
        .hasMessage("reflux.monitor.alert.clear-windows: 0 (expected: 1 or more)");
  }
}
