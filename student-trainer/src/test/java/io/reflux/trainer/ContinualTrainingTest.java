package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.trainer.StudentTraining.Outcome;
import io.reflux.trainer.StudentTraining.Step;
import io.reflux.trainer.pretrain.Shape;
import io.reflux.trainer.watch.Happening;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What a stream without end brings: drift, poison, rollouts of long ago, segments that fade. */
class ContinualTrainingTest {
  private static final int VOCABULARY = 48;
  private static final ModelConfig STUDENT =
      Shape.parse("hidden=32,layers=1,heads=4,kv-heads=2,ffn=64,context=64")
          .config(VOCABULARY, OptionalInt.empty(), List.of(1));
  private static final BigramTeacher TEACHER = new BigramTeacher(2, VOCABULARY, 5);
  private static final BigramTeacher OTHER = new BigramTeacher(2, VOCABULARY, 6);

  @Test
  void poisonIsSetAsideAndTheStudentDoesNotMove() {
    try (StudentTraining training = training(Map.of())) {
      learn(training, 80);
      while (training.freshSize() > 0) {
        training.step();
      }
      Random random = new Random(3);
      for (int i = 0; i < 4; i++) {
        training.learnFrom(OTHER.sequence("poison" + i, random));
      }
      String before = training.export().fingerprint();
      Step step = training.step();
      assertThat(step.outcome()).isEqualTo(Outcome.SPIKE);
      assertThat(step.notes())
          .singleElement()
          .satisfies(
              note -> {
                assertThat(note.kind()).isEqualTo(Happening.Kind.SKIPPED);
                assertThat(note.text()).contains("bound").contains("quarantined");
              });
      assertThat(training.export().fingerprint()).isEqualTo(before);
      assertThat(training.state().quarantine())
          .isNotEmpty()
          .allSatisfy(held -> assertThat(held.sequence().requestId()).startsWith("poison"));
      assertThat(training.tally().spikes()).isEqualTo(1);
      assertThat(training.tally().quarantined()).isEqualTo(training.quarantineSize());

      assertThat(training.step().outcome()).isEqualTo(Outcome.TRAINED);
      for (int i = 0; i < 30; i++) {
        training.step();
      }
      assertThat(training.agreement()).isGreaterThan(0.9);
      assertThat(training.tally().rewinds()).isZero();
    }
  }

  @Test
  void newDataAfterALongTimeOfRepeatingIsNoSpike() {
    try (StudentTraining training = training(Map.of("validation-steps", "1000"))) {
      feed(training, TEACHER, "s", 1, 40);
      // What is known by heart costs less and less, and what is new does not.
      for (int i = 0; i < 150; i++) {
        training.step();
      }
      feed(training, TEACHER, "s", 2, 10);
      Step step = training.step();
      assertThat(step.losses(StudentTraining.FRESH).meanKl())
          .isGreaterThan(2 * step.losses(StudentTraining.REPLAYED).meanKl());
      assertThat(step.outcome()).isEqualTo(Outcome.TRAINED);
    }
  }

  @Test
  void aSequenceOfAKindThatNeverCameBeforeIsLearnedFrom() {
    try (StudentTraining training = training(Map.of("batch-tokens", "2048"))) {
      learn(training, 80);
      double usual = 0;
      while (training.freshSize() > 0) {
        usual = training.step().losses(StudentTraining.FRESH).meanKl();
      }
      training.learnFrom(OTHER.sequence("new", new Random(3)));
      Step step = training.step();
      // Far out of the bounds of losses, but among so many it turns the weights no more than usual.
      assertThat(step.losses(StudentTraining.FRESH).meanKl()).isGreaterThan(usual + 2);
      assertThat(step.outcome()).isEqualTo(Outcome.TRAINED);
      assertThat(training.quarantineSize()).isZero();
    }
  }

  @Test
  void aSequenceWithoutALossThatIsANumberIsSetAside() {
    try (StudentTraining training = training(Map.of("spike-threshold", "0"))) {
      learn(training, 30);
      while (training.freshSize() > 0) {
        training.step();
      }
      LabelledSequence sequence = TEACHER.sampled("nan", new Random(1), 5, new byte[0]);
      SampledBlock block =
          TEACHER.draws(sequence.tokenIds(), sequence.promptLength(), 5, new Random(1));
      Arrays.fill(block.entropy(), Float.NaN);
      training.learnFrom(
          Sequences.labelled(sequence, SoftLabelCodec.encode(block, VOCABULARY), new int[0]));
      String before = training.export().fingerprint();
      assertThat(training.step().outcome()).isEqualTo(Outcome.NOT_FINITE);
      assertThat(training.export().fingerprint()).isEqualTo(before);
      assertThat(training.state().quarantine())
          .singleElement()
          .satisfies(held -> assertThat(held.sequence().requestId()).isEqualTo("nan"));
      for (int i = 0; i < 20; i++) {
        assertThat(training.step().outcome()).isEqualTo(Outcome.TRAINED);
      }
      assertThat(training.tally().notFinite()).isEqualTo(1);
    }
  }

  @Test
  void aStudentThatDivergesGoesBackAndStartsOverSlowly() {
    StudentState sound;
    double kl;
    try (StudentTraining training = training(Map.of())) {
      learn(training, 100);
      sound = training.state();
      kl = training.kl();
    }
    // A hundred steps into this warm-up the learning rate is thirty times what it was.
    Map<String, String> tooMuch =
        Map.of("learning-rate", "0.9", "warm-up-steps", "300", "settled-share", "1");
    try (StudentTraining training = training(tooMuch)) {
      training.restore(sound);
      List<Step> steps = new ArrayList<>();
      while (training.tally().rewinds() == 0 && steps.size() < 20) {
        feed(training, TEACHER, "s", 100 + steps.size(), 12);
        steps.add(training.step());
      }
      assertThat(training.tally().rewinds()).isEqualTo(1);
      assertThat(steps).extracting(Step::outcome).startsWith(Outcome.TRAINED);
      Step last = steps.get(steps.size() - 1);
      assertThat(last.notes())
          .extracting(StudentTraining.Note::kind)
          .containsSequence(Happening.Kind.SKIPPED, Happening.Kind.REWOUND);
      StudentState state = training.state();
      assertThat(state.good().orElseThrow().model()).isSameAs(state.model());
      training.validate();
      assertThat(training.kl()).isLessThan(kl + 0.2);
      // They were not to blame.
      assertThat(training.quarantineSize()).isZero();
      Step next = training.step();
      assertThat(next.learningRate()).isLessThan(0.01);
      assertThat(next.outcome()).isEqualTo(Outcome.TRAINED);
    }
  }

  @Test
  void aStreamThatDriftsIsNoticedAndLearned() {
    try (StudentTraining training = training(Map.of("settle-steps", "50"))) {
      learn(training, 150);
      double settled = training.step().learningRate();
      assertThat(training.tally().rewarms()).isZero();
      int noticed = 0;
      double highest = 0;
      for (int i = 0; i < 120; i++) {
        feed(training, OTHER, "shifted", 5000 + i, 12);
        Step step = training.step();
        noticed += step.notes().stream().anyMatch(note -> note.text().contains("drifted")) ? 1 : 0;
        highest = Math.max(highest, step.learningRate());
      }
      assertThat(noticed).isPositive().isEqualTo((int) training.tally().rewarms());
      assertThat(settled).isEqualTo(0.005);
      assertThat(highest).isEqualTo(0.01);
      // The new is no poison for long: it is learned, and nobody goes back.
      assertThat(training.tally().rewinds()).isZero();
      assertThat(training.quarantineSize()).isZero();
      Validation.Figures shifted = training.validate().orElseThrow().bySegment().get("shifted");
      assertThat(shifted.agreement()).isGreaterThan(0.6);
    }
  }

  @Test
  void replayKeepsWhatTrafficNoLongerBrings() {
    double with = forgotten(Map.of());
    double without =
        forgotten(Map.of("replay-size", "1", "recent-size", "24", "recent-share", "1"));
    // The old segment's held-out KL after traffic has moved to another for 100 steps.
    assertThat(with).isLessThan(0.4);
    assertThat(without).isGreaterThan(3 * with);
  }

  private static double forgotten(Map<String, String> settings) {
    BigramTeacher old = new BigramTeacher(2, 25, VOCABULARY, 1);
    BigramTeacher now = new BigramTeacher(25, VOCABULARY, VOCABULARY, 2);
    try (StudentTraining training = training(settings)) {
      for (int i = 0; i < 200; i++) {
        boolean before = i < 100;
        feed(training, before ? old : now, before ? "old" : "now", i, 12);
        training.step();
      }
      Validation validation = training.validate().orElseThrow();
      assertThat(validation.bySegment()).containsOnlyKeys("old", "now");
      assertThat(validation.bySegment().get("now").agreement()).isGreaterThan(0.85);
      return validation.bySegment().get("old").kl();
    }
  }

  @Test
  void rolloutsThatAreTooOldCountByTheirImportance() {
    Map<String, String> settings =
        Map.of(
            "stage", "on-policy",
            "lambda", "0.5",
            "lambda-ramp-steps", "0",
            "rollout-refresh-steps", "2",
            "max-staleness", "2",
            "stale-rollouts", "weight");
    try (StudentTraining training = training(settings)) {
      feed(training, TEACHER, "s", 1, 60);
      Random random = new Random(1);
      for (int i = 0; i < 20; i++) {
        training.learnFrom(TEACHER.toldRollout("told" + i, random, 0));
        training.learnFrom(TEACHER.rollout("untold" + i, random, 0));
      }
      List<Step> steps = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        steps.add(training.step());
      }
      // Versions begin after steps 1, 3 and 5: from then on those of step 0 are three behind.
      for (Step step : steps.subList(0, 5)) {
        assertThat(step.weightedStale()).isZero();
        assertThat(step.droppedStale()).isZero();
      }
      assertThat(steps.get(4).staleness()).isEqualTo(2);
      // Of whom it is not known how likely their tokens were, they are let go of.
      assertThat(steps.get(5).droppedStale()).isEqualTo(20);
      for (Step step : steps.subList(5, 12)) {
        assertThat(step.weightedStale()).isEqualTo(step.rollouts()).isPositive();
        assertThat(step.losses(StudentTraining.ROLLOUT).importance().rows())
            .isEqualTo(step.losses(StudentTraining.ROLLOUT).rows());
      }
      assertThat(training.tally().droppedStale()).isEqualTo(20);
      assertThat(training.tally().weightedStale())
          .isEqualTo(steps.stream().mapToLong(Step::weightedStale).sum());
    }
  }

  @Test
  void rolloutsOfAStudentThatNeverWasAreLetGoOf() {
    try (StudentTraining training = training(Map.of())) {
      assertThat(training.learnFrom(TEACHER.rollout("future", new Random(1), 1))).isFalse();
      assertThat(training.learnFrom(TEACHER.rollout("now", new Random(1), 0))).isTrue();
      assertThat(training.tally().droppedStale()).isEqualTo(1);
      assertThat(training.rolloutsHeld()).isEqualTo(1);
    }
  }

  @Test
  void theOnPolicyShareRisesToItsTarget() {
    Map<String, String> settings =
        Map.of("stage", "on-policy", "lambda", "0.5", "lambda-ramp-steps", "40");
    try (StudentTraining training = training(settings)) {
      feed(training, TEACHER, "s", 1, 100);
      assertThat(training.studentVersion()).isEqualTo(-1);
      Random random = new Random(1);
      for (int i = 0; i < 50; i++) {
        training.learnFrom(TEACHER.rollout("r" + i, random, 0));
      }
      int early = 0;
      int late = 0;
      for (int i = 0; i < 80; i++) {
        Step step = training.step();
        early += i < 20 ? step.rollouts() : 0;
        late += i >= 60 ? step.rollouts() : 0;
      }
      assertThat(training.stage()).isEqualTo(Stage.ON_POLICY);
      assertThat(training.studentVersion()).isEqualTo(1);
      assertThat(training.lambda()).isEqualTo(0.5);
      assertThat(late).isGreaterThan(2 * early);
    }
  }

  @Test
  void microBatchesAddUpToTheStep() {
    try (StudentTraining whole = training(Map.of());
        StudentTraining parts = training(Map.of("micro-batch-tokens", "40"))) {
      for (StudentTraining training : List.of(whole, parts)) {
        feed(training, TEACHER, "s", 1, 60);
      }
      Step one = whole.step();
      Step many = parts.step();
      assertThat(many.sequences()).isEqualTo(one.sequences());
      assertThat(many.losses().rows()).isEqualTo(one.losses().rows());
      assertThat(many.gradientNorm() / one.gradientNorm()).isBetween(0.9999, 1.0001);
      assertThat(many.losses().objective() / one.losses().objective()).isBetween(0.9999, 1.0001);
    }
  }

  @Test
  void labelsOfTheStudentsOwnIdsTeachLikeOthers() {
    LabelledSequence sequence = TEACHER.sequence("q", new Random(1));
    TopKBlock top = TEACHER.labels(sequence.tokenIds(), sequence.promptLength());
    int k = top.k();
    int[] ids = top.ids().clone();
    float[] logprobs = top.logprobs().clone();
    // The student's order, in which the teacher's best comes last.
    for (int row = 0; row < top.rows(); row++) {
      int first = row * k;
      int last = first + k - 1;
      int id = ids[first];
      ids[first] = ids[last];
      ids[last] = id;
      float logprob = logprobs[first];
      logprobs[first] = logprobs[last];
      logprobs[last] = logprob;
    }
    SupportBlock support =
        new SupportBlock(
            top.rows(),
            k,
            SupportBlock.checksum(ids),
            logprobs,
            top.tailLogMass(),
            top.tokenLogprobs(),
            top.entropy());
    LabelledSequence supported =
        Sequences.labelled(sequence, SoftLabelCodec.encode(support, VOCABULARY), ids);
    try (StudentTraining one = training(Map.of());
        StudentTraining other = training(Map.of())) {
      one.measureOn(sequence);
      other.measureOn(supported);
      Validation.Figures expected = one.validate().orElseThrow().overall();
      Validation.Figures figures = other.validate().orElseThrow().overall();
      assertThat(figures.rows()).isEqualTo(expected.rows());
      assertThat(figures.agreement()).isEqualTo(expected.agreement());
      // The codecs round log-probs differently, each by less than a thirtieth.
      assertThat(figures.kl()).isBetween(expected.kl() - 0.05, expected.kl() + 0.05);
    }
  }

  @Test
  void rolloutsHaveNoCrossEntropyAndAnObjectiveOfTheirOwn() {
    Map<String, String> settings =
        Map.of(
            "stage", "on-policy",
            "lambda", "0.5",
            "lambda-ramp-steps", "0",
            "rollout-objective", "reverse-kl",
            "cross-entropy-share", "0.5");
    try (StudentTraining training = training(settings)) {
      feed(training, TEACHER, "s", 1, 60);
      Random random = new Random(1);
      for (int i = 0; i < 20; i++) {
        training.learnFrom(TEACHER.rollout("r" + i, random, 0));
      }
      training.step();
      Step step = training.step();
      assertThat(step.losses().parts().keySet())
          .extracting(part -> part.origin() + " " + part.objective())
          .contains("rollouts reverse-kl", "fresh forward-kl")
          .allMatch(part -> !part.equals("rollouts forward-kl"));
    }
  }

  /** Feeds and trains on one kind of traffic. */
  private static void learn(StudentTraining training, int steps) {
    for (int i = 0; i < steps; i++) {
      feed(training, TEACHER, "s", i, 12);
      training.step();
    }
  }

  private static void feed(
      StudentTraining training, BigramTeacher teacher, String segment, long time, int count) {
    Random random = new Random(time);
    for (int i = 0; i < count; i++) {
      training.learnFrom(Sequences.in(segment, time, teacher.sequence("q" + i, random)));
      if (i % 10 == 0) {
        training.measureOn(Sequences.in(segment, time, teacher.sequence("h" + i, random)));
      }
    }
  }

  private static StudentTraining training(Map<String, String> changes) {
    Map<String, String> settings = new HashMap<>();
    // So that the run is the same on hardware that multiplies otherwise.
    settings.put("precision", "f32");
    settings.put("batch-tokens", "256");
    settings.put("learning-rate", "0.01");
    settings.put("warm-up-steps", "10");
    settings.put("validation-steps", "10");
    settings.put("minimum-labels", "12");
    settings.put("recent-size", "128");
    settings.put("lambda", "0");
    settings.put("max-reuse", "1000");
    settings.putAll(changes);
    return new StudentTraining(Settings.of(settings), STUDENT, RandomModel.weights(STUDENT, 1));
  }
}
