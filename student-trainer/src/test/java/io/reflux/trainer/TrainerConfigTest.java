package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.compress.QuantisationMethod;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotFormat;
import io.reflux.trainer.nn.Precision;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TrainerConfigTest {
  @Test
  void hasTheseDefaults() {
    TrainerConfig config = Settings.of(Map.of("teacher", "models/teacher"));
    assertThat(config.teacher()).contains(Path.of("models/teacher"));
    assertThat(config.student()).isEqualTo("hidden=96,layers=2,heads=4,kv-heads=2,ffn=256");
    assertThat(config.studentName()).isEqualTo("student");
    assertThat(config.dataDir()).isEqualTo(Path.of(".reflux/trainer"));
    assertThat(config.channel()).isEqualTo("stable");
    assertThat(config.optimizer()).isEqualTo("adamw");
    assertThat(config.longestAverage()).isEqualTo(1000);
    assertThat(config.learningRate()).isEqualTo(0.002);
    assertThat(config.warmUpSteps()).isEqualTo(100);
    assertThat(config.settleSteps()).isEqualTo(2000);
    assertThat(config.settledShare()).isEqualTo(0.5);
    assertThat(config.driftThreshold()).isEqualTo(10);
    assertThat(config.weightDecay()).isEqualTo(0.01);
    assertThat(config.maxGradientNorm()).isEqualTo(1);
    assertThat(config.spikeThreshold()).isEqualTo(8);
    assertThat(config.rewindAfter()).isEqualTo(3);
    assertThat(config.batchTokens()).isEqualTo(2048);
    assertThat(config.microBatchTokens()).isEqualTo(2048);
    assertThat(config.objective()).isEqualTo("forward-kl");
    assertThat(config.rolloutObjective()).isEqualTo("forward-kl");
    assertThat(config.crossEntropyShare()).isEqualTo(0.1);
    assertThat(config.heldOutFraction()).isEqualTo(0.1);
    assertThat(config.heldOutSize()).isEqualTo(512);
    assertThat(config.validationSteps()).isEqualTo(50);
    assertThat(config.intakeSequences()).isEqualTo(256);
    assertThat(config.minimumLabels()).isEqualTo(32);
    assertThat(config.maxReuse()).isEqualTo(32);
    assertThat(config.replaySize()).isEqualTo(8192);
    assertThat(config.replayHalfLife()).isEqualTo(Duration.ofDays(7));
    assertThat(config.recentSize()).isEqualTo(1024);
    assertThat(config.recentShare()).isEqualTo(0.5);
    assertThat(config.bufferBytes()).isEqualTo(512L << 20);
    assertThat(config.stage()).isEqualTo(TrainerConfig.StageChoice.AUTO);
    assertThat(config.lambda()).isEqualTo(0.25);
    assertThat(config.lambdaRampSteps()).isEqualTo(200);
    assertThat(config.onPolicyAgreement()).isEqualTo(0.6);
    assertThat(config.plateauValidations()).isEqualTo(10);
    assertThat(config.onPolicySteps()).isEmpty();
    assertThat(config.rolloutTemperature()).isEqualTo(0.9);
    assertThat(config.rolloutMaxTokens()).isEqualTo(64);
    assertThat(config.rolloutSlots()).isEqualTo(8);
    assertThat(config.rolloutSupport()).isEqualTo(16);
    assertThat(config.rolloutsInFlight()).isEqualTo(256);
    assertThat(config.rolloutSize()).isEqualTo(1024);
    assertThat(config.rolloutRefreshSteps()).isEqualTo(200);
    assertThat(config.maxStaleness()).isEqualTo(15);
    assertThat(config.staleRollouts()).isEqualTo(TrainerConfig.StaleRollouts.DROP);
    assertThat(config.importanceClip()).isEqualTo(2);
    assertThat(config.snapshotInterval()).isEqualTo(Duration.ofSeconds(20));
    assertThat(config.snapshotSteps()).isEmpty();
    assertThat(config.snapshotFormat()).isEqualTo(WeightFormat.INT8);
    assertThat(config.snapshotFormats()).containsExactly(SnapshotFormat.SAFETENSORS);
    assertThat(config.snapshotFormatDivergence()).isEqualTo(0.01);
    assertThat(config.quantisationMethod()).isEqualTo(QuantisationMethod.RTN);
    assertThat(config.calibrationHalfLife()).isEqualTo(8192);
    assertThat(config.gate()).isTrue();
    assertThat(config.goldenPrompts()).isEqualTo(4);
    assertThat(config.gateTolerance()).isEqualTo(0.01);
    assertThat(config.gateSegmentMinimum()).isEqualTo(20);
    assertThat(config.gateMinimumAgreement()).isEmpty();
    assertThat(config.checkpointInterval()).isEqualTo(Duration.ofSeconds(30));
    assertThat(config.checkpointSteps()).isEmpty();
    assertThat(config.checkpointRetention()).isEqualTo(2);
    assertThat(config.stopAtStep()).isEmpty();
    assertThat(config.peakGflops()).isEmpty();
    assertThat(config.recordInterval()).isEqualTo(Duration.ofSeconds(5));
    assertThat(config.seed()).isEqualTo(42);
    assertThat(config.threads()).isEqualTo(1);
    assertThat(config.devices()).isEqualTo("cpu");
    assertThat(config.precision()).isEqualTo(Precision.AUTO);
    assertThat(config.checkpointEvery()).isZero();
    assertThat(config.offload()).isEqualTo("none");
    assertThat(config.prune()).isEqualTo("none");
    assertThat(config.frozenLayers()).isZero();
    assertThat(config.frozenEmbeddings()).isTrue();
    assertThat(config.lora().rank()).isZero();
    assertThat(config.lora().alpha()).isEqualTo(16);
    assertThat(config.lora().targets()).isEqualTo("q,k,v,o,gate,up,down");
    assertThat(config.http().host()).isEqualTo("127.0.0.1");
    assertThat(config.http().port()).isEqualTo(7074);
  }

  @Test
  void whatCannotBeIsRefusedInOneLineThatNamesIt() {
    assertRefused("learning-rate", "0", "reflux.train.learning-rate: 0.0 (expected: above 0");
    assertRefused("settled-share", "1.5", "settled-share: 1.5 (expected: above 0, to 1)");
    assertRefused("settle-steps", "-1", "settle-steps: -1 (expected: 0 or more)");
    assertRefused("drift-threshold", "-1", "drift-threshold: -1 (expected: 0 or more)");
    assertRefused("spike-threshold", "NaN", "spike-threshold: NaN (expected: 0 or more)");
    assertRefused("rewind-after", "-1", "rewind-after: -1 (expected: 0 or more)");
    assertRefused("max-gradient-norm", "0", "max-gradient-norm: 0 (expected: above 0)");
    assertRefused("longest-average", "0", "longest-average: 0.0 (expected: 1 or more)");
    assertRefused("optimizer", "sgd", "reflux.train.optimizer: sgd: optimizer: sgd (expected: ");
    assertRefused("micro-batch-tokens", "0", "micro-batch-tokens: 0 (expected: 1 or more)");
    assertRefused("objective", "kl", "reflux.train.objective: kl: objective: ");
    assertRefused("objective", "sampled-reverse-kl", "for rollout-objective alone");
    assertRefused("rollout-objective", "jsd", "reflux.train.rollout-objective: jsd: ");
    assertRefused("cross-entropy-share", "1.1", "cross-entropy-share: 1.1 (expected: 0 to 1)");
    assertRefused("replay-half-life", "PT0S", "replay-half-life: PT0S (expected: a positive time)");
    assertRefused("buffer-bytes", "10", "buffer-bytes: 10 (expected: 1048576 or more)");
    assertRefused("lambda", "1", "lambda: 1.0 (expected: 0 to below 1");
    assertRefused("lambda-ramp-steps", "-1", "lambda-ramp-steps: -1 (expected: 0 or more)");
    assertRefused("plateau-validations", "-1", "plateau-validations: -1 (expected: 0 or more)");
    assertRefused("max-staleness", "-1", "max-staleness: -1 (expected: 0 or more)");
    assertRefused("snapshot-format-divergence", "0", "divergence: 0 (expected: above 0)");
    assertRefused("importance-clip", "0", "importance-clip: 0 (expected: above 0)");
    assertRefused(
        "calibration-half-life", "0", "calibration-half-life: 0 (expected: 1 to 1000000000)");
  }

  @ParameterizedTest
  @EnumSource
  void whatIsNotRoundedIsNotRoundedByAnyMethod(QuantisationMethod method) {
    TrainerConfig config =
        Settings.of(Map.of("quantisation-method", method.toString(), "snapshot-format", "none"));
    assertThat(config.quantisationMethod()).isEqualTo(method);
    if (method != QuantisationMethod.RTN) {
      assertThatThrownBy(() -> TrainerChecks.requireSane(config))
          .isInstanceOf(RefluxException.class)
          .hasMessage(
              "reflux.train.quantisation-method: %s (expected: rtn with snapshot-format none, which rounds nothing)",
              method);
    }
  }

  @ParameterizedTest
  @EnumSource
  void snapshotsHaveTheFormatThatIsAskedFor(WeightFormat format) {
    assertThat(Settings.of(Map.of("snapshot-format", format.toString())).snapshotFormat())
        .isEqualTo(format);
  }

  @Test
  void snapshotsOfferTheFormatsThatAreListed() {
    assertThat(Settings.of(Map.of("snapshot-formats", "onnx,gguf,hf")).snapshotFormats())
        .containsExactly(SnapshotFormat.ONNX, SnapshotFormat.GGUF, SnapshotFormat.HF);
  }

  @Test
  void theDefaultsAreSane() {
    TrainerChecks.requireSane(Settings.of(Map.of()));
  }

  private static void assertRefused(String key, String value, String message) {
    assertThatThrownBy(() -> TrainerChecks.requireSane(Settings.of(Map.of(key, value))))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }
}
