package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.trainer.nn.Precision;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;

class TrainerConfigTest {
  @Test
  void hasTheseDefaults() {
    TrainerConfig config = Settings.of(Map.of("teacher", "models/teacher"));
    assertThat(config.teacher()).contains(Path.of("models/teacher"));
    assertThat(config.student()).isEqualTo("hidden=96,layers=2,heads=4,kv-heads=2,ffn=256");
    assertThat(config.studentName()).isEqualTo("student");
    assertThat(config.dataDir()).isEqualTo(Path.of(".reflux/trainer"));
    assertThat(config.channel()).isEqualTo("stable");
    assertThat(config.learningRate()).isEqualTo(0.002);
    assertThat(config.warmUpSteps()).isEqualTo(100);
    assertThat(config.weightDecay()).isEqualTo(0.01);
    assertThat(config.maxGradientNorm()).isEqualTo(1);
    assertThat(config.batchTokens()).isEqualTo(2048);
    assertThat(config.crossEntropyShare()).isEqualTo(0.1);
    assertThat(config.heldOutFraction()).isEqualTo(0.1);
    assertThat(config.heldOutSize()).isEqualTo(512);
    assertThat(config.validationSteps()).isEqualTo(50);
    assertThat(config.intakeSequences()).isEqualTo(256);
    assertThat(config.minimumLabels()).isEqualTo(32);
    assertThat(config.maxReuse()).isEqualTo(32);
    assertThat(config.replaySize()).isEqualTo(8192);
    assertThat(config.recentSize()).isEqualTo(1024);
    assertThat(config.recentShare()).isEqualTo(0.5);
    assertThat(config.lambda()).isEqualTo(0.25);
    assertThat(config.onPolicyAgreement()).isEqualTo(0.6);
    assertThat(config.onPolicySteps()).isEmpty();
    assertThat(config.rolloutTemperature()).isEqualTo(0.9);
    assertThat(config.rolloutMaxTokens()).isEqualTo(64);
    assertThat(config.rolloutSlots()).isEqualTo(8);
    assertThat(config.rolloutSupport()).isEqualTo(16);
    assertThat(config.rolloutsInFlight()).isEqualTo(256);
    assertThat(config.rolloutSize()).isEqualTo(1024);
    assertThat(config.rolloutRefreshSteps()).isEqualTo(200);
    assertThat(config.maxStaleness()).isEqualTo(3000);
    assertThat(config.snapshotInterval()).isEqualTo(Duration.ofSeconds(20));
    assertThat(config.snapshotSteps()).isEmpty();
    assertThat(config.gate()).isTrue();
    assertThat(config.gateTolerance()).isEqualTo(0.01);
    assertThat(config.gateSegmentMinimum()).isEqualTo(20);
    assertThat(config.gateMinimumAgreement()).isEmpty();
    assertThat(config.checkpointInterval()).isEqualTo(Duration.ofSeconds(30));
    assertThat(config.checkpointSteps()).isEmpty();
    assertThat(config.checkpointRetention()).isEqualTo(2);
    assertThat(config.stopAtStep()).isEmpty();
    assertThat(config.recordInterval()).isEqualTo(Duration.ofSeconds(5));
    assertThat(config.seed()).isEqualTo(42);
    assertThat(config.threads()).isEqualTo(1);
    assertThat(config.devices()).isEqualTo("cpu");
    assertThat(config.precision()).isEqualTo(Precision.AUTO);
    assertThat(config.checkpointEvery()).isZero();
    assertThat(config.offload()).isEqualTo("none");
    assertThat(config.frozenLayers()).isZero();
    assertThat(config.frozenEmbeddings()).isTrue();
    assertThat(config.lora().rank()).isZero();
    assertThat(config.lora().alpha()).isEqualTo(16);
    assertThat(config.lora().targets()).isEqualTo("q,k,v,o,gate,up,down");
    assertThat(config.http().host()).isEqualTo("127.0.0.1");
    assertThat(config.http().port()).isEqualTo(7074);
  }
}
