package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Calibration;
import io.reflux.model.compress.CalibrationSums;
import io.reflux.model.compress.QuantisationError;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.trainer.pretrain.Shape;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What ships of a student that is being trained, calibrated on what it is trained on. */
class LiveQuantisationTest {
  private static final int VOCABULARY = 48;
  private static final ModelConfig STUDENT =
      Shape.parse("hidden=32,layers=2,heads=4,kv-heads=2,ffn=96,context=64")
          .config(VOCABULARY, OptionalInt.empty(), List.of(1));
  private static final BigramTeacher TEACHER = new BigramTeacher(2, VOCABULARY, 5);

  @ParameterizedTest
  @ValueSource(strings = {"gptq", "quantease"})
  void layersErrLessOnTheTrafficThanRoundedToNearest(String method) {
    TrainerConfig config = config(Map.of("quantisation-method", method));
    try (StudentTraining training = training(config)) {
      feed(training, 1, 200);
      steps(training, 30);
      Weights floats = training.export();
      List<int[]> traffic = training.newestTraffic(LiveQuantisation.tokens(config));
      Weights live = new LiveQuantisation(config).quantise(STUDENT, floats, traffic);
      Weights nearest = Quantiser.of(WeightFormat.INT4).quantise(STUDENT, floats);

      CalibrationSums sums = Calibration.sums(STUDENT, floats, traffic, RuntimeOptions.DEFAULT);
      double liveErrors = 0;
      double nearestErrors = 0;
      for (String matrix : sums.matrices()) {
        float[] before = floats.floats(matrix);
        float[] sigma = sums.of(matrix);
        liveErrors += QuantisationError.relative(before, live.floats(matrix), sigma);
        nearestErrors += QuantisationError.relative(before, nearest.floats(matrix), sigma);
      }
      assertThat(liveErrors).isLessThan(0.8 * nearestErrors);
    }
  }

  @Test
  void whatIsMeasuredOnIsNotCalibratedOnAndTheNewestComesLast() {
    TrainerConfig config = config(Map.of("quantisation-method", "gptq"));
    try (StudentTraining training = training(config)) {
      feed(training, 1, 200);
      steps(training, 5);
      LabelledSequence last = TEACHER.sequence("last", new Random(9));
      training.learnFrom(last);
      List<int[]> traffic = training.newestTraffic(LiveQuantisation.tokens(config));

      long tokens = traffic.stream().mapToLong(ids -> ids.length).sum();
      assertThat(LiveQuantisation.tokens(config)).isEqualTo(1500);
      assertThat(tokens).isBetween(1500L, 1500L + STUDENT.maxPositions());
      assertThat(traffic.get(traffic.size() - 1)).isSameAs(last.tokenIds());
      assertThat(training.heldOut()).isNotEmpty();
      training
          .heldOut()
          .forEach(held -> assertThat(traffic).noneMatch(ids -> ids == held.tokenIds()));
      assertThat(training.newestTraffic(LiveQuantisation.tokens(config(Map.of())))).isEmpty();
    }
  }

  @Test
  void aResumedTrainerMakesTheSameBytesAlsoAfterACut() {
    TrainerConfig config =
        config(Map.of("quantisation-method", "quantease", "prune", "neurons:0.34@6,kv:0.5@6"));
    try (StudentTraining straight = training(config);
        StudentTraining resumed = training(config)) {
      feed(straight, 1, 60);
      steps(straight, 4);
      resumed.restore(straight.state());
      for (StudentTraining one : List.of(straight, resumed)) {
        feed(one, 2, 10);
        steps(one, 4);
      }
      assertThat(straight.student().intermediateSize()).isEqualTo(32);
      String made = made(config, straight);
      assertThat(made(config, resumed)).isEqualTo(made);
      // Nor has it changed what is trained.
      steps(straight, 1);
      steps(resumed, 1);
      assertThat(resumed.export().fingerprint()).isEqualTo(straight.export().fingerprint());
    }
  }

  private static String made(TrainerConfig config, StudentTraining training) {
    return new LiveQuantisation(config)
        .quantise(
            training.student(),
            training.export(),
            training.newestTraffic(LiveQuantisation.tokens(config)))
        .fingerprint();
  }

  private static void steps(StudentTraining training, int count) {
    for (int i = 0; i < count; i++) {
      training.step();
    }
  }

  private static void feed(StudentTraining training, long seed, int count) {
    Random random = new Random(seed);
    for (int i = 0; i < count; i++) {
      training.learnFrom(TEACHER.sequence("q" + i, random));
      if (i % 10 == 0) {
        training.measureOn(TEACHER.sequence("h" + i, random));
      }
    }
  }

  private static TrainerConfig config(Map<String, String> changes) {
    Map<String, String> settings = new HashMap<>();
    settings.put("precision", "f32");
    settings.put("batch-tokens", "256");
    settings.put("learning-rate", "0.01");
    settings.put("warm-up-steps", "10");
    settings.put("max-reuse", "1000");
    settings.put("snapshot-format", "int4");
    settings.put("calibration-half-life", "500");
    settings.putAll(changes);
    return Settings.of(settings);
  }

  private static StudentTraining training(TrainerConfig config) {
    return new StudentTraining(config, STUDENT, RandomModel.weights(STUDENT, 1));
  }
}
