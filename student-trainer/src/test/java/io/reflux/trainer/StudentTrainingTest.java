package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.schemas.avro.Stage;
import io.reflux.trainer.pretrain.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StudentTrainingTest {
  private static final int VOCABULARY = 48;
  private static final ModelConfig STUDENT =
      Shape.parse("hidden=32,layers=1,heads=4,kv-heads=2,ffn=64,context=64")
          .config(VOCABULARY, OptionalInt.empty(), List.of(1));
  private static final BigramTeacher TEACHER = new BigramTeacher(2, VOCABULARY, 5);

  @TempDir private Path directory;

  @Test
  void learnsFromDataThenFromItsOwnRollouts() {
    try (StudentTraining training = training(config(Map.of("max-reuse", "1000")))) {
      assertThat(training.stage()).isEqualTo(Stage.WAITING);
      assertThat(training.canStep()).isFalse();
      feed(training, 1, 400);
      assertThat(training.stage()).isEqualTo(Stage.ON_DATA);
      training.validate();
      double before = training.agreement();
      int rollouts = 0;
      for (int i = 0; i < 150; i++) {
        if (i == 100) {
          assertThat(training.stage()).isEqualTo(Stage.ON_POLICY);
          for (int r = 0; r < 50; r++) {
            training.learnFrom(TEACHER.rollout("r" + r, new Random(r), 90));
          }
        }
        rollouts += training.step().rollouts();
      }
      assertThat(before).isLessThan(0.3);
      assertThat(training.agreement()).isGreaterThan(0.9);
      assertThat(training.kl()).isLessThan(0.4);
      assertThat(rollouts).isPositive();
    }
  }

  @Test
  void aResumedRunEndsWithTheSameBitsAsAnUninterruptedOne() throws IOException {
    TrainerConfig config =
        config(Map.of("on-policy-steps", "5", "rollout-refresh-steps", "1", "max-staleness", "12"));
    for (int killedAt : new int[] {1, 7, 13, 19}) {
      try (StudentTraining straight = training(config);
          StudentTraining killed = training(config);
          StudentTraining resumed = training(config)) {
        for (int i = 0; i < 20; i++) {
          round(straight, i);
        }
        for (int i = 0; i < killedAt; i++) {
          round(killed, i);
        }
        Path place = directory.resolve("at-" + killedAt);
        try (CheckpointStore store = CheckpointStore.open(place, 2)) {
          store.save(new Checkpoint("s", "t", "k", IntakeState.NONE, killed.state()));
        }
        // What the killed one did after its checkpoint is lost, and done again.
        round(killed, killedAt);
        try (CheckpointStore store = CheckpointStore.open(place, 2)) {
          resumed.restore(store.load().orElseThrow().checkpoint().training());
        }
        for (int i = killedAt; i < 20; i++) {
          round(resumed, i);
        }
        assertThat(resumed.export().fingerprint()).isEqualTo(straight.export().fingerprint());
        assertThat(resumed.stepsDone()).isEqualTo(straight.stepsDone());
        assertThat(resumed.agreement()).isEqualTo(straight.agreement());
        assertThat(resumed.state().credit()).isEqualTo(straight.state().credit());
      }
    }
  }

  @Test
  void repeatsNothingMoreOftenThanAllowed() {
    try (StudentTraining training = training(config(Map.of("max-reuse", "3")))) {
      feed(training, 1, 60);
      ReplayState held = training.state().replay();
      long rows =
          Stream.concat(
                  Stream.concat(held.fresh().stream(), held.recent().stream()),
                  held.sample().stream().map(ReplayState.Sampled::sequence))
              .mapToLong(LabelledSequence::rows)
              .sum();
      while (training.canStep()) {
        training.step();
      }
      // The step that uses up the last of the credit is a whole one.
      assertThat(training.rowsTrained()).isBetween(3 * rows, 3 * rows + 256);
      feed(training, 61, 1);
      assertThat(training.canStep()).isFalse();
      feed(training, 62, 60);
      assertThat(training.canStep()).isTrue();
    }
  }

  @Test
  void letsGoOfRolloutsOfAStudentOfLongAgo() {
    TrainerConfig config =
        config(
            Map.of(
                "on-policy-steps", "1",
                "rollout-refresh-steps", "1",
                "max-staleness", "4",
                "max-reuse", "1000"));
    try (StudentTraining training = training(config)) {
      feed(training, 1, 60);
      training.learnFrom(TEACHER.rollout("old", new Random(1), 0));
      int dropped = 0;
      for (int i = 0; i < 6; i++) {
        dropped += training.step().droppedStale();
      }
      assertThat(dropped).isEqualTo(1);
      assertThat(training.rolloutsHeld()).isZero();
    }
  }

  private static void round(StudentTraining training, int i) {
    feed(training, 1000 + i * 20L, i == 0 ? 40 : 5);
    if (i % 3 == 0) {
      training.learnFrom(TEACHER.rollout("rollout-" + i, new Random(i), training.stepsDone()));
    }
    if (training.canStep()) {
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

  private static StudentTraining training(TrainerConfig config) {
    return new StudentTraining(config, STUDENT, RandomModel.weights(STUDENT, 1));
  }

  private static TrainerConfig config(Map<String, String> changes) {
    Map<String, String> settings = new HashMap<>();
    // So that the run is the same on hardware that multiplies otherwise.
    settings.put("precision", "f32");
    settings.put("batch-tokens", "256");
    settings.put("learning-rate", "0.01");
    settings.put("warm-up-steps", "10");
    settings.put("validation-steps", "10");
    settings.put("replay-size", "64");
    settings.put("recent-size", "32");
    settings.putAll(changes);
    return Settings.of(settings);
  }
}
