package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.StudentTraining.Note;
import io.reflux.trainer.StudentTraining.Step;
import io.reflux.trainer.pretrain.Shape;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A student that becomes smaller while it learns. */
class GradualPruningTest {
  private static final int VOCABULARY = 48;
  private static final ModelConfig STUDENT =
      Shape.parse("hidden=32,layers=2,heads=4,kv-heads=2,ffn=96,context=64")
          .config(VOCABULARY, OptionalInt.empty(), List.of(1));
  private static final BigramTeacher TEACHER = new BigramTeacher(2, VOCABULARY, 5);

  @Test
  void theStudentIsCutAtItsStepsAndLearnsOn() {
    String schedule = "neurons:0.34@60..120/2,kv:0.5@90,layers:0.5@140";
    try (StudentTraining training = training(Map.of("prune", schedule, "max-reuse", "1000"))) {
      feed(training, 1, 400);
      List<String> cuts = new ArrayList<>();
      double before = 0;
      for (int step = 0; step < 220; step++) {
        if (step == 60) {
          training.validate();
          before = training.kl();
        }
        Step done = training.step();
        assertThat(done.outcome()).isEqualTo(StudentTraining.Outcome.TRAINED);
        done.notes().stream()
            .map(Note::text)
            .filter(t -> t.startsWith("cut to"))
            .forEach(cuts::add);
        assertThat(training.student()).as("step %d", step).isEqualTo(shapeAt(step));
      }
      assertThat(cuts)
          .hasSize(4)
          .first()
          .asString()
          .startsWith("cut to 2 layers of 64 neurons and 2 key-value heads, ");
      assertThat(cuts.get(3)).startsWith("cut to 1 layers of 32 neurons and 1 key-value heads, ");
      assertThat(training.parameterCount()).isEqualTo(shapeAt(220).parameters());
      assertThat(training.tally().rewinds()).isZero();
      training.validate();
      // A bigram teacher needs no more than what is left.
      assertThat(training.kl()).isLessThan(1.2 * before);
      assertThat(training.agreement()).isGreaterThan(0.9);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"adamw", "schedule-free"})
  void aRunThatIsStoppedAfterEveryStepIsTheSameToTheBit(String optimizer) throws IOException {
    Map<String, String> settings =
        Map.of(
            "optimizer",
            optimizer,
            "prune",
            "neurons:0.34@4..8/2,kv:0.5@6",
            "on-policy-steps",
            "3",
            "rollout-refresh-steps",
            "4");
    try (StudentTraining straight = training(settings);
        StudentTraining used = training(settings)) {
      byte[] stopped = bytes(straight);
      for (int round = 0; round < 11; round++) {
        round(straight, round);
        used.restore(state(stopped));
        round(used, round);
        stopped = bytes(used);
        assertThat(stopped).as("round %d", round).isEqualTo(bytes(straight));
        if (round % 4 == 3) {
          // It goes on from here, and is thrown back over the cut.
          round(used, round + 1);
        }
      }
      assertThat(straight.student().intermediateSize()).isEqualTo(32);
      assertThat(straight.student().keyValueHeads()).isEqualTo(1);
      // Each cut makes a student version of its own.
      assertThat(straight.state().versions()).contains(4L, 6L, 8L);
    }
  }

  @Test
  void theFirstCutMayComeBeforeTheFirstStep() {
    try (StudentTraining training = training(Map.of("prune", "neurons:0.34@0"))) {
      feed(training, 1, 60);
      assertThat(training.student()).isEqualTo(STUDENT);
      StudentState atStart = training.state();
      training.step();
      assertThat(training.student().intermediateSize()).isEqualTo(32);
      StudentState after = training.state();
      training.restore(atStart);
      assertThat(training.student()).isEqualTo(STUDENT);
      training.restore(after);
      assertThat(training.student().intermediateSize()).isEqualTo(32);
    }
  }

  @Test
  void aCheckpointOfAnotherScheduleIsRefused() {
    try (StudentTraining training = training(Map.of("prune", "neurons:0.34@1"));
        StudentTraining other = training(Map.of("prune", "neurons:0.67@1"))) {
      feed(training, 1, 60);
      training.step();
      training.step();
      StudentState state = training.state();
      assertThatThrownBy(() -> other.restore(state))
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("reflux.train.prune: neurons:0.67@1: training state")
          .hasMessageContaining("the schedule must be the one");
    }
  }

  @Test
  void whatCannotBePrunedIsRefusedBeforeItBegins() {
    assertThatThrownBy(() -> training(Map.of("prune", "neurons:0.5")))
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith("reflux.train.prune: neurons:0.5: ");
    assertThatThrownBy(() -> training(Map.of("prune", "neurons:0.5@3", "lora.rank", "4")))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("reflux.train.prune: neurons:0.5@3 (expected: none with");
    assertThatThrownBy(() -> training(Map.of("prune", "kv:0.5@3", "frozen-layers", "1")))
        .hasMessageContaining("(expected: none with frozen-layers or lora");
  }

  private static ModelConfig shapeAt(int step) {
    int neurons = step < 60 ? 96 : step < 120 ? 64 : 32;
    int keyValues = step < 90 ? 2 : 1;
    return STUDENT.resized(step < 140 ? 2 : 1, neurons, 2 * keyValues, keyValues);
  }

  private static void round(StudentTraining training, int i) {
    feed(training, 1000 + i * 20L, i == 0 ? 40 : 5);
    training.learnFrom(TEACHER.rollout("rollout-" + i, new Random(i), training.stepsDone()));
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

  private static byte[] bytes(StudentTraining training) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    CheckpointFormat.write(
        new Checkpoint("s", "t", "k", IntakeState.NONE, training.state()),
        new DataOutputStream(bytes));
    return bytes.toByteArray();
  }

  private static StudentState state(byte[] bytes) throws IOException {
    return CheckpointFormat.read(new DataInputStream(new ByteArrayInputStream(bytes))).training();
  }

  private static StudentTraining training(Map<String, String> changes) {
    Map<String, String> settings = new HashMap<>();
    // So that the run is the same on hardware that multiplies otherwise.
    settings.put("precision", "f32");
    settings.put("batch-tokens", "256");
    settings.put("learning-rate", "0.01");
    settings.put("warm-up-steps", "10");
    settings.put("validation-steps", "10");
    settings.put("minimum-labels", "30");
    settings.put("lambda-ramp-steps", "20");
    settings.putAll(changes);
    return new StudentTraining(Settings.of(settings), STUDENT, RandomModel.weights(STUDENT, 1));
  }
}
