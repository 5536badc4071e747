package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.trainer.pretrain.Shape;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Everything at once, stopped after every step, and yet not a bit different. */
class RestoredTrainingTest {
  private static final int ROUNDS = 90;
  private static final int VOCABULARY = 48;
  private static final ModelConfig STUDENT =
      Shape.parse("hidden=16,layers=1,heads=2,kv-heads=1,ffn=32,context=64")
          .config(VOCABULARY, OptionalInt.empty(), List.of(1));
  private static final BigramTeacher TEACHER = new BigramTeacher(2, VOCABULARY, 5);
  private static final BigramTeacher POISON = new BigramTeacher(2, VOCABULARY, 6);

  @ParameterizedTest
  @ValueSource(strings = {"adamw", "schedule-free"})
  void aRunThatIsStoppedAfterEveryStepIsTheSameToTheBit(String optimizer) throws IOException {
    TrainerConfig config = config(optimizer);
    try (StudentTraining straight = training(config);
        StudentTraining used = training(config)) {
      byte[] stopped = bytes(straight);
      for (int round = 0; round < ROUNDS; round++) {
        round(straight, round);
        // It also is where no checkpoint has ever been: what it did since is forgotten.
        byte[] relayed = relay(used, stopped, round);
        round(used, round + 7);
        if (round % 15 == 0) {
          try (StudentTraining fresh = training(config)) {
            assertThat(relay(fresh, stopped, round)).isEqualTo(relayed);
          }
        }
        stopped = relayed;
        assertThat(relayed).as("round %d", round).isEqualTo(bytes(straight));
      }
      // It was worth it: all that can happen did.
      Tally tally = straight.tally();
      assertThat(straight.stepsDone()).isGreaterThan(60);
      assertThat(straight.stage()).isEqualTo(Stage.ON_POLICY);
      assertThat(tally.spikes()).as("%s", tally).isPositive();
      assertThat(tally.notFinite()).isPositive();
      assertThat(tally.rewinds()).isPositive();
      assertThat(tally.rewarms()).isPositive();
      assertThat(tally.quarantined()).isPositive();
      assertThat(tally.weightedStale()).isPositive();
      assertThat(tally.droppedStale()).isPositive();
      assertThat(straight.state().replay().sample()).isNotEmpty();
    }
  }

  /** What is stopped, resumed, and stopped again after one more round. */
  private static byte[] relay(StudentTraining training, byte[] stopped, int round)
      throws IOException {
    training.restore(state(stopped));
    round(training, round);
    return bytes(training);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 33})
  void askingForFiguresChangesNothing(int asked) throws IOException {
    TrainerConfig config = config("adamw");
    try (StudentTraining one = training(config);
        StudentTraining other = training(config)) {
      for (int round = 0; round < 40; round++) {
        round(one, round);
        round(other, round);
        if (round >= asked) {
          other.validate();
          assertThat(other.state().heldOut()).isNotNull();
        }
      }
      assertThat(other.export().fingerprint()).isEqualTo(one.export().fingerprint());
      assertThat(other.tally()).isEqualTo(one.tally());
    }
  }

  private static void round(StudentTraining training, int round) {
    Random random = new Random(round);
    // Traffic that turns to something else for good, and some poison before.
    boolean shifted = round >= 60;
    for (int i = 0; i < (round == 0 ? 30 : 6); i++) {
      String segment = shifted ? "new" : "s" + i % 3;
      BigramTeacher teacher = shifted ? POISON : TEACHER;
      LabelledSequence sequence = teacher.sequence("q" + round + "-" + i, random);
      training.learnFrom(Sequences.in(segment, round * 1000L, sequence));
    }
    training.measureOn(Sequences.in("s0", round, TEACHER.sequence("h" + round, random)));
    if (round == 30 || round == 45) {
      for (int i = 0; i < 3; i++) {
        training.learnFrom(POISON.sequence("poison" + i, random));
      }
    }
    if (round == 84 || round == 85) {
      // By now the student has learned what is not held out, and is the worse for it.
      training.learnFrom(unlosable("nan" + round, random));
    }
    training.learnFrom(TEACHER.toldRollout("told" + round, random, Math.max(0, round - 20)));
    training.learnFrom(TEACHER.rollout("untold" + round, random, training.stepsDone()));
    if (training.canStep()) {
      training.step();
    }
  }

  /** Its loss is not a number: a KL from draws needs an entropy. */
  private static LabelledSequence unlosable(String requestId, Random random) {
    LabelledSequence sequence = TEACHER.sampled(requestId, random, 5, new byte[0]);
    SampledBlock block = TEACHER.draws(sequence.tokenIds(), sequence.promptLength(), 5, random);
    Arrays.fill(block.entropy(), Float.NaN);
    return Sequences.labelled(sequence, SoftLabelCodec.encode(block, VOCABULARY), new int[0]);
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

  private static StudentTraining training(TrainerConfig config) {
    return new StudentTraining(config, STUDENT, RandomModel.weights(STUDENT, 1));
  }

  private static TrainerConfig config(String optimizer) {
    Map<String, String> settings = new HashMap<>();
    settings.put("optimizer", optimizer);
    // So that the run is the same on hardware that multiplies otherwise.
    settings.put("precision", "f32");
    settings.put("batch-tokens", "200");
    settings.put("micro-batch-tokens", "80");
    settings.put("learning-rate", "0.02");
    settings.put("warm-up-steps", "5");
    settings.put("settle-steps", "30");
    settings.put("validation-steps", "4");
    settings.put("minimum-labels", "30");
    settings.put("replay-size", "24");
    settings.put("recent-size", "40");
    settings.put("replay-half-life", "PT10S");
    settings.put("held-out-size", "12");
    settings.put("rollout-size", "40");
    settings.put("drift-threshold", "6");
    settings.put("spike-threshold", "4");
    settings.put("rewind-after", "2");
    settings.put("on-policy-steps", "10");
    settings.put("lambda-ramp-steps", "20");
    settings.put("rollout-refresh-steps", "3");
    settings.put("max-staleness", "3");
    settings.put("stale-rollouts", "weight");
    return Settings.of(settings);
  }
}
