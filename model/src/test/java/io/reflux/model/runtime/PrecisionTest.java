package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.onnxruntime.OrtException;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.Checkpoints;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.onnx.GraphOptions;
import io.reflux.model.onnx.ScoringGraph;
import io.reflux.model.reference.ReferenceForward;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PrecisionTest {
  /** Absolute, of a log-prob: float16 layers against double, over three of them. */
  private static final double WORST = 0.08;

  private static final double MEAN = 0.006;
  private static final RuntimeOptions HALF = new RuntimeOptions(1, Device.CPU, Precision.F16);

  @ParameterizedTest
  @EnumSource
  void float16ScoresAreNearTheDoubleForward(SmallModels model) {
    ModelConfig config = model.config();
    Weights weights = RandomModel.variedWeights(config, 7);
    int[] tokens = model.tokens(23, 1);
    double[][] truth = ReferenceForward.logits(config, weights, tokens);
    try (Scorer scorer = new Scorer(config, weights, config.vocabularySize(), HALF)) {
      Scores scores = scorer.score(List.of(ScoreRequest.of(tokens, 1))).get(0);
      assertNear(scores, truth, WORST, MEAN);
      for (int row = 0; row < scores.rows(); row++) {
        double mass = 0;
        for (int i = 0; i < scores.k(); i++) {
          mass += Math.exp(scores.topLogprobs()[row * scores.k() + i]);
        }
        // Far closer than 16 bits could be: the log-softmax is float32.
        assertThat(mass).isCloseTo(1, within(1e-5));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void float16DecodingKeepsItsCache(SmallModels model) throws OrtException {
    ModelConfig config = model.config();
    Weights weights = RandomModel.variedWeights(config, 3);
    int[] tokens = model.tokens(24, 5);
    double[][] truth = ReferenceForward.logits(config, weights, tokens);
    float[] logprobs = new float[config.vocabularySize()];
    try (DecodeSession session =
        new DecodeSession(config, weights, new EngineOptions(3, 32), 8, HALF)) {
      session.prefill(2, tokens, 0, 8);
      session.prefill(2, tokens, 8, 11);
      session.move(2, 0, 11);
      for (int t = 11; t < tokens.length; t++) {
        session.feed(0, tokens[t], t);
        session.step(1);
        session.logprobs(0, logprobs);
        double[] expected = ReferenceForward.logSoftmax(truth[t]);
        for (int i = 0; i < expected.length; i++) {
          assertThat((double) logprobs[i]).isCloseTo(expected[i], within(WORST));
        }
      }
    }
  }

  @Test
  void float16ScoresDoNotDependOnTheBatch() {
    SmallModels model = SmallModels.LLAMA_WITH_LLAMA3_SCALING;
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    List<ScoreRequest> requests = new ArrayList<>();
    for (int i = 0; i < 9; i++) {
      requests.add(ScoreRequest.of(model.tokens(3 + 5 * i % 31, i), 1 + i % 2));
    }
    try (Scorer scorer = new Scorer(model.config(), weights, 4, HALF)) {
      List<Scores> together = scorer.score(requests);
      for (int i = 0; i < requests.size(); i++) {
        Scores alone = scorer.score(List.of(requests.get(i))).get(0);
        assertThat(together.get(i)).usingRecursiveComparison().isEqualTo(alone);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void eightBitWeightsBetweenFloat16Activations(SmallModels model) {
    ModelConfig config = model.config();
    Weights weights =
        Quantiser.of(WeightFormat.INT8).quantise(config, RandomModel.variedWeights(config, 7));
    int[] tokens = model.tokens(23, 1);
    double[][] truth = ReferenceForward.logits(config, weights, tokens);
    int k = config.vocabularySize();
    GraphOptions exact = new GraphOptions(DType.F16, 0, Long.MAX_VALUE, null);
    try (Scorer scorer =
        new Scorer(
            config,
            ScorerOptions.topK(k),
            new OpenSession(
                OrtSessions.open(ScoringGraph.build(config, weights, k, exact), HALF), null))) {
      assertNear(scorer.score(List.of(ScoreRequest.of(tokens, 1))).get(0), truth, WORST, MEAN);
    }
  }

  @Test
  void float16WeightsInAFileGiveTheSameScores(@TempDir Path directory) {
    SmallModels model = SmallModels.LLAMA_WITH_LINEAR_SCALING_AND_ALL_HEADS;
    ModelConfig config = model.config();
    Weights weights = RandomModel.variedWeights(config, 7);
    GraphOptions options = new GraphOptions(DType.F16, 4, 0, directory);
    List<ScoreRequest> requests = List.of(ScoreRequest.of(model.tokens(23, 1), 4));
    try (Scorer inFile =
            new Scorer(
                config,
                ScorerOptions.topK(5),
                new OpenSession(
                    OrtSessions.open(ScoringGraph.build(config, weights, 5, options), HALF),
                    null));
        Scorer usual = new Scorer(config, weights, 5, HALF)) {
      assertThat(inFile.score(requests))
          .usingRecursiveComparison()
          .isEqualTo(usual.score(requests));
    }
  }

  @Test
  void aWeightThatFloat16CannotHoldIsRefusedByName() {
    ModelConfig config = SmallModels.QWEN2_WITH_BIAS.config();
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : RandomModel.weights(config, 7).tensors()) {
      float[] floats = new float[(int) tensor.elements()];
      if (tensor.name().equals(TensorNames.down(1))) {
        floats[5] = -65_505;
      }
      builder.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    Weights weights = builder.build();
    assertThatThrownBy(() -> new Scorer(config, weights, 4, HALF))
        .isInstanceOf(ModelException.class)
        .hasMessage(
            TensorNames.down(1)
                + ": -65505.0 at 5 (expected: at most 65504 in magnitude for f16; bf16 holds it)");
  }

  @Test
  void bfloat16GraphsPassTheRuntimesTypeCheck() {
    for (SmallModels model : SmallModels.values()) {
      ModelConfig config = model.config();
      Weights floats = RandomModel.variedWeights(config, 7);
      GraphOptions options = GraphOptions.inMemory().withType(DType.BF16);
      for (Weights weights :
          List.of(floats, Quantiser.of(WeightFormat.INT8).quantise(config, floats))) {
        // It checks types before it looks for kernels, and has none of these on the processor.
        assertThatThrownBy(
                () ->
                    OrtSessions.open(
                            ScoringGraph.build(config, weights, 4, options), RuntimeOptions.DEFAULT)
                        .close())
            .isInstanceOf(ModelException.class)
            .hasMessageContaining("Could not find an implementation for");
      }
    }
  }

  @Test
  void autoTakesWhatTheDeviceCanAndTheCheckpointHas(@TempDir Path directory) {
    ModelConfig config = SmallModels.QWEN2_WITH_BIAS.config();
    Weights floats = RandomModel.weights(config, 1);
    for (DType stored : new DType[] {DType.F32, DType.F16, DType.BF16}) {
      Path folder = directory.resolve(stored.name());
      Checkpoints.save(folder, config, floats, stored);
      Weights weights = Checkpoints.load(folder).weights();
      assertThat(RuntimeOptions.DEFAULT.elementType(weights)).isEqualTo(DType.F32);
      assertThat(HALF.elementType(weights)).isEqualTo(DType.F16);
      DType onGpu = stored == DType.BF16 ? DType.BF16 : DType.F16;
      assertThat(RuntimeOptions.of(1, "cuda:1").elementType(weights)).isEqualTo(onGpu);
      assertThat(RuntimeOptions.of(1, "tensorrt").elementType(weights)).isEqualTo(onGpu);
    }
  }

  @Test
  void precisionsThatADeviceLacksAreRefused() {
    assertThatThrownBy(() -> new RuntimeOptions(1, Device.CPU, Precision.BF16))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("precision: bf16 on cpu (expected: auto, f32 or f16; ");
    assertThatThrownBy(() -> new RuntimeOptions(1, Device.parse("cuda:1"), Precision.F32))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("precision: f32 on cuda:1 (expected: auto, f16 or bf16; ");
  }

  private static void assertNear(Scores scores, double[][] logits, double worst, double mean) {
    double[][] truth =
        Arrays.stream(logits).map(ReferenceForward::logSoftmax).toArray(double[][]::new);
    double sum = 0;
    for (int i = 0; i < scores.topIds().length; i++) {
      double expected = truth[i / scores.k()][scores.topIds()[i]];
      assertThat((double) scores.topLogprobs()[i]).isCloseTo(expected, within(worst));
      sum += Math.abs(scores.topLogprobs()[i] - expected);
    }
    assertThat(sum / scores.topIds().length).isLessThan(mean);
  }
}
