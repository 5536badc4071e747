package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.Scorer;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.trainer.gate.SnapshotQuality;
import io.reflux.trainer.pretrain.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Training and measuring on draws, and on top-k whose tail is unknown, against plain doubles. */
class SampledLabelsTest {
  private static final int VOCABULARY = 48;
  private static final int DRAWS = 20;
  private static final ModelConfig STUDENT =
      Shape.parse("hidden=32,layers=1,heads=4,kv-heads=2,ffn=64,context=64")
          .config(VOCABULARY, OptionalInt.empty(), List.of(1));
  private static final BigramTeacher TEACHER = new BigramTeacher(2, VOCABULARY, 5);

  @Test
  void figuresFromDrawsAreTheUnbiasedEstimateInTrainerAndSnapshotAlike() {
    MemoryWeights weights = MemoryWeights.copyOf(RandomModel.variedWeights(STUDENT, 4));
    List<LabelledSequence> heldOut = new ArrayList<>();
    double expected = 0;
    long rows = 0;
    long agreements = 0;
    Random random = new Random(2);
    for (int i = 0; i < 12; i++) {
      // The first row of every other sequence does not count.
      byte[] mask = i % 2 == 0 ? new byte[0] : new byte[] {(byte) 0xFE, (byte) 0xFF};
      LabelledSequence sequence = TEACHER.sampled("h" + i, random, DRAWS, mask);
      heldOut.add(sequence);
      SampledBlock block = sampled(sequence);
      double[][] logits = ReferenceForward.logits(STUDENT, weights, sequence.tokenIds());
      for (int row = i % 2; row < sequence.rows(); row++) {
        double[] logq = ReferenceForward.logSoftmax(logits[sequence.promptLength() + row - 1]);
        double kl = -block.entropy()[row];
        for (int j = block.starts()[row]; j < block.starts()[row + 1]; j++) {
          kl -= (double) block.counts()[j] / DRAWS * logq[block.ids()[j]];
        }
        expected += kl;
        rows++;
        agreements += argmax(logq) == block.ids()[block.starts()[row]] ? 1 : 0;
      }
    }
    expected /= rows;

    try (StudentTraining training = new StudentTraining(config(), STUDENT, weights);
        HeldOutScoring scoring =
            new HeldOutScoring(new Scorer(STUDENT, weights, 8, RuntimeOptions.DEFAULT))) {
      heldOut.forEach(training::measureOn);
      training.validate();
      assertThat(training.kl()).isEqualTo(expected, within(1e-4));
      assertThat(training.agreement()).isEqualTo((double) agreements / rows, within(1e-9));
      SnapshotQuality quality = SnapshotQuality.of(scoring.measure(heldOut));
      assertThat(quality.positions()).isEqualTo(rows);
      assertThat(quality.kl()).isEqualTo(expected, within(1e-4));
      assertThat(quality.agreement()).isEqualTo((double) agreements / rows, within(1e-9));
      assertThat(quality.acceptance()).isNaN();
      assertThat(quality.figures()).containsOnlyKeys("positions", "agreement", "kl");
    }
  }

  @Test
  void aStudentLearnsFromDrawsAlone() {
    try (StudentTraining training = new StudentTraining(config(), STUDENT, weights())) {
      Random random = new Random(1);
      for (int i = 0; i < 300; i++) {
        training.learnFrom(TEACHER.sampled("q" + i, random, DRAWS, new byte[0]));
        if (i % 10 == 0) {
          training.measureOn(TEACHER.sampled("h" + i, random, DRAWS, new byte[0]));
        }
      }
      training.validate();
      double before = training.kl();
      for (int i = 0; i < 120; i++) {
        training.step();
      }
      training.validate();
      assertThat(before).isGreaterThan(2);
      assertThat(training.kl()).isLessThan(0.5).isGreaterThan(-0.05);
      assertThat(training.agreement()).isGreaterThan(0.85);
    }
  }

  @Test
  void anUnknownTailCountsAsNoneAndAnUnknownEntropyAsNothing() {
    List<LabelledSequence> told = new ArrayList<>();
    List<LabelledSequence> untold = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      LabelledSequence sequence = TEACHER.sequence("q" + i, new Random(i));
      told.add(withTail(sequence, Float.NEGATIVE_INFINITY, 1));
      untold.add(withTail(sequence, Float.NaN, Float.NaN));
    }
    MemoryWeights weights = weights();
    try (StudentTraining one = new StudentTraining(config(), STUDENT, weights);
        StudentTraining other = new StudentTraining(config(), STUDENT, weights);
        HeldOutScoring scoring =
            new HeldOutScoring(new Scorer(STUDENT, weights, 8, RuntimeOptions.DEFAULT))) {
      told.forEach(one::measureOn);
      untold.forEach(other::measureOn);
      one.validate();
      other.validate();
      assertThat(other.kl()).isFinite().isEqualTo(one.kl());
      assertThat(scoring.measure(untold)).isEqualTo(scoring.measure(told));
      told.forEach(one::learnFrom);
      untold.forEach(other::learnFrom);
      for (int i = 0; i < 3; i++) {
        assertThat(other.step().gradientNorm()).isFinite().isEqualTo(one.step().gradientNorm());
      }
      assertThat(other.export().fingerprint()).isEqualTo(one.export().fingerprint());
    }
  }

  private static SampledBlock sampled(LabelledSequence sequence) {
    return (SampledBlock) decode(sequence);
  }

  private static LabelBlock decode(LabelledSequence sequence) {
    try {
      return SoftLabelCodec.decode(sequence.labels(), VOCABULARY);
    } catch (io.reflux.schemas.labels.SoftLabelFormatException e) {
      throw new AssertionError(e);
    }
  }

  private static LabelledSequence withTail(LabelledSequence s, float tail, float entropy) {
    TopKBlock block = (TopKBlock) decode(s);
    float[] tails = new float[block.rows()];
    float[] entropies = new float[block.rows()];
    Arrays.fill(tails, tail);
    Arrays.fill(entropies, entropy);
    byte[] labels =
        SoftLabelCodec.encode(
            new TopKBlock(
                block.rows(),
                block.k(),
                block.ids(),
                block.logprobs(),
                tails,
                block.tokenLogprobs(),
                entropies),
            VOCABULARY);
    return new LabelledSequence(
        s.requestId(),
        s.segment(),
        s.eventMillis(),
        s.weight(),
        s.tokenIds(),
        s.promptLength(),
        VOCABULARY,
        s.labelTemperature(),
        s.lossMask(),
        labels,
        s.supportIds(),
        s.written());
  }

  private static int argmax(double[] values) {
    int best = 0;
    for (int i = 1; i < values.length; i++) {
      best = values[i] > values[best] ? i : best;
    }
    return best;
  }

  private static MemoryWeights weights() {
    return MemoryWeights.copyOf(RandomModel.weights(STUDENT, 1));
  }

  private static TrainerConfig config() {
    Map<String, String> settings = new HashMap<>();
    // So that the run is the same on hardware that multiplies otherwise.
    settings.put("precision", "f32");
    settings.put("batch-tokens", "256");
    settings.put("learning-rate", "0.01");
    settings.put("warm-up-steps", "10");
    settings.put("minimum-labels", "1");
    settings.put("max-reuse", "1000");
    settings.put("lambda", "0");
    return Settings.of(settings);
  }
}
