package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.onnx.GraphOptions;
import io.reflux.model.onnx.OnnxModel;
import io.reflux.model.onnx.ScoringGraph;
import io.reflux.model.reference.ReferenceForward;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class ScorerTest {
  /** Absolute, of a log-prob: float32 against double, over three layers. */
  private static final double TOLERANCE = 1e-4;

  @ParameterizedTest
  @EnumSource
  void scoresAreThoseOfTheDoubleForward(SmallModels model) {
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    int[] tokens = model.tokens(23, 1);
    int[] support = IntStream.range(0, 20 * 3).map(i -> (i * 7) % 50).toArray();
    Scores scores;
    try (Scorer scorer = new Scorer(model.config(), weights, 6, RuntimeOptions.DEFAULT)) {
      scores = scorer.score(List.of(new ScoreRequest(tokens, 3, support, 3))).get(0);
    }
    assertThat(scores.rows()).isEqualTo(20);
    assertScores(scores, tokens, 3, support, logprobs(model.config(), weights, tokens), TOLERANCE);
  }

  /** Temperatures in one batch do not touch each other. */
  @ParameterizedTest
  @EnumSource
  void scoresAtATemperatureAreThoseOfTheDoubleForwardAtIt(SmallModels model) {
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    int[] tokens = model.tokens(23, 1);
    int[] support = IntStream.range(0, 20 * 3).map(i -> (i * 7) % 50).toArray();
    double[] temperatures = {0.25, 1, 0.8, 4};
    List<ScoreRequest> requests =
        Arrays.stream(temperatures)
            .mapToObj(t -> new ScoreRequest(tokens, 3, support, 3).atTemperature(t))
            .toList();
    double[][] logits = ReferenceForward.logits(model.config(), weights, tokens);
    try (Scorer scorer = new Scorer(model.config(), weights, 6, RuntimeOptions.DEFAULT)) {
      List<Scores> scores = scorer.score(requests);
      for (int i = 0; i < temperatures.length; i++) {
        double t = temperatures[i];
        double[][] truth =
            Arrays.stream(logits)
                .map(row -> Arrays.stream(row).map(logit -> logit / t).toArray())
                .map(ReferenceForward::logSoftmax)
                .toArray(double[][]::new);
        // Errors of logits are divided by the temperature with them.
        assertScores(scores.get(i), tokens, 3, support, truth, TOLERANCE / Math.min(1, t));
      }
      assertThat(scores.get(1))
          .usingRecursiveComparison()
          .isEqualTo(scorer.score(List.of(new ScoreRequest(tokens, 3, support, 3))).get(0));
    }
    assertThatThrownBy(() -> ScoreRequest.of(tokens, 1).atTemperature(0))
        .isInstanceOf(ModelException.class)
        .hasMessage("temperature: 0.0 (expected: 0.01 to 100.0)");
    assertThat(ScoreRequest.isTemperature(Double.NaN)).isFalse();
    assertThat(ScoreRequest.isTemperature(0.01f)).isTrue();
  }

  @ParameterizedTest
  @EnumSource
  void aSequenceScoresTheSameAloneAndInARaggedBatch(SmallModels model) {
    Weights floats = RandomModel.variedWeights(model.config(), 7);
    for (WeightFormat format : WeightFormat.values()) {
      Weights weights = Quantiser.of(format).quantise(model.config(), floats);
      List<ScoreRequest> requests = new ArrayList<>();
      for (int i = 0; i < 9; i++) {
        requests.add(ScoreRequest.of(model.tokens(3 + 5 * i % 31, i), 1 + i % 2));
      }
      try (Scorer scorer = new Scorer(model.config(), weights, 4, RuntimeOptions.DEFAULT)) {
        List<Scores> together = scorer.score(requests);
        for (int i = 0; i < requests.size(); i++) {
          Scores alone = scorer.score(List.of(requests.get(i))).get(0);
          assertThat(together.get(i)).usingRecursiveComparison().isEqualTo(alone);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void graphsOfFewBitsMultiplyTheDequantisedWeights(SmallModels model) {
    ModelConfig config = model.config();
    Weights floats = RandomModel.variedWeights(config, 7);
    for (WeightFormat format : WeightFormat.values()) {
      assertMultipliesTheDequantised(model, Quantiser.of(format).quantise(config, floats));
    }
    assertMultipliesTheDequantised(model, allOfFourBits(config, floats));
  }

  private static void assertMultipliesTheDequantised(SmallModels model, Weights weights) {
    ModelConfig config = model.config();
    int[] tokens = model.tokens(23, 1);
    double[][] truth = logprobs(config, weights, tokens);
    int[] support = new int[22];
    boolean integers =
        weights.tensors().stream()
            .anyMatch(tensor -> tensor.dtype() == DType.I8 || tensor.dtype() == DType.I4);
    for (int accuracyLevel : new int[] {0, 4}) {
      GraphOptions options = new GraphOptions(accuracyLevel, Long.MAX_VALUE, null);
      try (Scorer scorer = scorer(config, ScoringGraph.build(config, weights, 5, options), 5)) {
        Scores scores = scorer.score(List.of(new ScoreRequest(tokens, 1, support, 1))).get(0);
        // Level 4 rounds activations to 8 bits as well, before each of some fifteen products.
        if (accuracyLevel == 0 || !integers) {
          assertScores(scores, tokens, 1, support, truth, TOLERANCE);
        } else {
          assertThat(meanError(scores, truth)).isLessThan(0.03);
        }
      }
    }
  }

  /** Embeddings and head too, which the quantiser gives 8 bits. */
  private static Weights allOfFourBits(ModelConfig config, Weights weights) {
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      float[] floats = weights.floats(tensor.name());
      if (tensor.shape().size() == 1) {
        builder.floats(tensor.name(), new long[] {floats.length}, floats);
        continue;
      }
      int rows = tensor.shape().get(0).intValue();
      int columns = tensor.shape().get(1).intValue();
      byte[] integers = new byte[floats.length];
      float scale = 0.06f;
      for (int i = 0; i < integers.length; i++) {
        integers[i] = (byte) Math.max(-8, Math.min(7, Math.round(floats[i] / scale)));
      }
      float[] scales = new float[rows * ((columns + 31) / 32)];
      Arrays.fill(scales, scale);
      builder.quantised(tensor.name(), QuantisedMatrix.int4(rows, columns, 32, integers, scales));
    }
    return builder.build();
  }

  @ParameterizedTest
  @EnumSource
  void weightsInAFileGiveTheSameScores(SmallModels model, @TempDir Path directory) {
    ModelConfig config = model.config();
    Weights floats = RandomModel.variedWeights(config, 7);
    for (Weights weights :
        List.of(floats, Quantiser.of(WeightFormat.INT8).quantise(config, floats))) {
      GraphOptions options = new GraphOptions(4, 0, directory.resolve("a/b"));
      OnnxModel inFile = ScoringGraph.build(config, weights, 5, options);
      assertThat(inFile.dataFile()).isPresent();
      assertThat(inFile.bytes().length).isLessThan(40_000);
      List<ScoreRequest> requests = List.of(ScoreRequest.of(model.tokens(23, 1), 4));
      try (Scorer scorer = scorer(config, inFile, 5);
          Scorer usual = new Scorer(config, weights, 5, RuntimeOptions.DEFAULT)) {
        assertThat(scorer.score(requests))
            .usingRecursiveComparison()
            .isEqualTo(usual.score(requests));
      }
    }
  }

  @Test
  void theWholeVocabularyLeavesNoTail() {
    SmallModels model = SmallModels.QWEN2_WITH_BIAS;
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    try (Scorer scorer =
        new Scorer(
            model.config(), weights, model.config().vocabularySize(), RuntimeOptions.DEFAULT)) {
      Scores scores = scorer.score(List.of(ScoreRequest.of(model.tokens(5, 1), 1))).get(0);
      assertThat(scores.tailLogMass()).containsOnly(Float.NEGATIVE_INFINITY);
      assertThat(Arrays.stream(scores.topIds()).limit(77).distinct().count()).isEqualTo(77);
    }
  }

  @Test
  void smallTailsDoNotDrownInRounding() {
    SmallModels model = SmallModels.LLAMA_WITH_LLAMA3_SCALING;
    ModelConfig config = model.config();
    // Embeddings eight times as large make the tied head very sure of itself.
    MemoryWeights.Builder sure = MemoryWeights.builder();
    Weights weights = RandomModel.variedWeights(config, 7);
    for (TensorInfo tensor : weights.tensors()) {
      float[] floats = weights.floats(tensor.name());
      if (tensor.name().equals(TensorNames.EMBEDDING)) {
        for (int i = 0; i < floats.length; i++) {
          floats[i] *= 8;
        }
      }
      sure.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    Weights sureWeights = sure.build();
    int[] tokens = model.tokens(30, 1);
    double[][] truth = logprobs(config, sureWeights, tokens);
    try (Scorer scorer = new Scorer(config, sureWeights, 8, RuntimeOptions.DEFAULT)) {
      Scores scores = scorer.score(List.of(ScoreRequest.of(tokens, 1))).get(0);
      double smallest = 0;
      for (int row = 0; row < scores.rows(); row++) {
        double[] sorted = Arrays.stream(truth[row]).sorted().toArray();
        double tail = 0;
        for (int i = 0; i < sorted.length - 8; i++) {
          tail += Math.exp(sorted[i]);
        }
        smallest = Math.min(smallest, Math.log(tail));
        assertThat((double) scores.tailLogMass()[row]).isCloseTo(Math.log(tail), within(2e-3));
      }
      assertThat(smallest).as("log of the smallest tail").isLessThan(-18);
    }
  }

  @Test
  void supportsOfDifferentSizesAreKeptApart() {
    SmallModels model = SmallModels.QWEN2_WITH_BIAS;
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    int[] tokens = model.tokens(6, 1);
    try (Scorer scorer = new Scorer(model.config(), weights, 3, RuntimeOptions.DEFAULT)) {
      ScoreRequest none = ScoreRequest.of(tokens, 2);
      ScoreRequest two = new ScoreRequest(tokens, 4, new int[] {5, 6, 7, 8}, 2);
      ScoreRequest empty = ScoreRequest.of(tokens, 6);
      List<Scores> together = scorer.score(List.of(none, two, empty));
      assertThat(together.get(0).supportLogprobs()).isEmpty();
      assertThat(together.get(1))
          .usingRecursiveComparison()
          .isEqualTo(scorer.score(List.of(two)).get(0));
      assertThat(together.get(2).rows()).isZero();
      assertThat(scorer.score(List.of(empty)).get(0).topIds()).isEmpty();
      assertThat(scorer.score(List.of())).isEmpty();
    }
  }

  @ParameterizedTest
  @EnumSource
  void chunksOfAnySizeGiveTheSameScores(SmallModels model) {
    ModelConfig config = model.config();
    Weights floats = RandomModel.variedWeights(config, 7);
    List<ScoreRequest> requests = new ArrayList<>();
    for (int i = 0; i < 7; i++) {
      int[] tokens = model.tokens(3 + 7 * i, i);
      int[] support = Arrays.copyOfRange(model.tokens(60, 3), 0, tokens.length - 2);
      requests.add(new ScoreRequest(tokens, 2, support, 1, i));
    }
    for (Weights weights :
        List.of(floats, Quantiser.of(WeightFormat.INT8).quantise(config, floats))) {
      // By blocks of ids, and without.
      for (int k : new int[] {3, 40}) {
        List<Scores> whole = scores(config, weights, new ScorerOptions(k, 6), 1000, requests);
        assertThat(whole.stream().mapToInt(Scores::rows).sum()).isEqualTo(154);
        for (int chunkRows : new int[] {1, 2, 10, 153}) {
          assertThat(scores(config, weights, new ScorerOptions(k, 6), chunkRows, requests))
              .usingRecursiveComparison()
              .isEqualTo(whole);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {257, 4096, 5003})
  void blocksOfIdsHideNoneOfTheLikeliest(int vocabularySize) {
    ModelConfig config = SmallModels.withVocabulary(vocabularySize);
    Weights weights = RandomModel.variedWeights(config, 3);
    int[] tokens = new Random(5).ints(40, 0, vocabularySize).toArray();
    double[][] truth = logprobs(config, weights, tokens);
    int[] support = new Random(6).ints(35 * 4, 0, vocabularySize).toArray();
    ScoreRequest request = new ScoreRequest(tokens, 5, support, 4);
    for (int k : new int[] {1, 16, 50, vocabularySize - 1}) {
      for (int chunkRows : new int[] {9, 128}) {
        Scores scores =
            scores(config, weights, ScorerOptions.topK(k), chunkRows, List.of(request)).get(0);
        assertScores(scores, tokens, 5, support, truth, TOLERANCE);
      }
    }
  }

  @Test
  void entropyIsThatOfTheProbabilitiesInEveryElementType() {
    // Element types differ in how the graph sums it up.
    ModelConfig config = SmallModels.withVocabulary(300);
    Weights weights = RandomModel.variedWeights(config, 3);
    int[] tokens = new Random(5).ints(40, 0, 300).toArray();
    for (Precision precision : List.of(Precision.F32, Precision.F16)) {
      RuntimeOptions runtime = new RuntimeOptions(1, Device.CPU, precision);
      try (Scorer all = new Scorer(config, weights, 300, runtime);
          Scorer few = new Scorer(config, weights, 4, runtime)) {
        Scores whole = all.score(List.of(ScoreRequest.of(tokens, 1))).get(0);
        Scores top = few.score(List.of(ScoreRequest.of(tokens, 1))).get(0);
        for (int row = 0; row < whole.rows(); row++) {
          double entropy = 0;
          for (int i = row * 300; i < (row + 1) * 300; i++) {
            entropy -= Math.exp(whole.topLogprobs()[i]) * whole.topLogprobs()[i];
          }
          assertThat((double) whole.entropy()[row]).isCloseTo(entropy, within(2e-5));
          assertThat((double) top.entropy()[row]).isCloseTo(entropy, within(2e-5));
        }
      }
    }
  }

  @Test
  void ofEqualLogitsTheLowerIdComesFirst() {
    ModelConfig config = SmallModels.withVocabulary(1024);
    // Every fourth id has the same embedding, so that there are 256 equals of each logit.
    MemoryWeights.Builder copies = MemoryWeights.builder();
    Weights weights = RandomModel.variedWeights(config, 3);
    for (TensorInfo tensor : weights.tensors()) {
      float[] floats = weights.floats(tensor.name());
      if (tensor.name().equals(TensorNames.EMBEDDING)) {
        int four = 4 * config.hiddenSize();
        for (int i = four; i < floats.length; i++) {
          floats[i] = floats[i % four];
        }
      }
      copies.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    ScoreRequest request = ScoreRequest.of(new int[] {1, 2, 3, 4, 5, 6}, 1);
    Scores scores =
        scores(config, copies.build(), ScorerOptions.topK(8), 128, List.of(request)).get(0);
    for (int row = 0; row < scores.rows(); row++) {
      int first = scores.topIds()[row * 8];
      assertThat(first).isLessThan(4);
      for (int i = 0; i < 8; i++) {
        assertThat(scores.topIds()[row * 8 + i]).isEqualTo(first + 4 * i);
      }
    }
  }

  @Test
  void oneRowScoresLikeMany() {
    for (SmallModels model : SmallModels.values()) {
      Weights weights = RandomModel.variedWeights(model.config(), 7);
      int[] tokens = model.tokens(12, 2);
      try (Scorer scorer =
          new Scorer(model.config(), weights, new ScorerOptions(4, 5), RuntimeOptions.DEFAULT)) {
        Scores all = scorer.score(List.of(ScoreRequest.of(tokens, 1))).get(0);
        Scores one = scorer.score(List.of(ScoreRequest.of(tokens, 11))).get(0);
        assertThat(one.rows()).isOne();
        assertThat(one.topIds()).isEqualTo(Arrays.copyOfRange(all.topIds(), 40, 44));
        assertThat(one.drawnIds()).isEqualTo(Arrays.copyOfRange(all.drawnIds(), 50, 55));
        assertThat(one.topLogprobs()[0]).isCloseTo(all.topLogprobs()[40], within(1e-5f));
      }
    }
  }

  @Test
  void impossibleRequestsAreRefusedInOneLine() {
    SmallModels model = SmallModels.QWEN2_WITH_BIAS;
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    assertThatThrownBy(() -> new Scorer(model.config(), weights, 78, RuntimeOptions.DEFAULT))
        .isInstanceOf(ModelException.class)
        .hasMessage("k: 78 (expected: 1 to 77, the vocabulary)");
    try (Scorer scorer = new Scorer(model.config(), weights, 3, RuntimeOptions.DEFAULT)) {
      ScoreRequest good = ScoreRequest.of(new int[] {1, 2}, 1);
      assertRefused(
          scorer,
          List.of(good, ScoreRequest.of(new int[] {1, 77}, 1)),
          "request 1: token id: 77 at 1 (expected: 0 to 76)");
      assertRefused(
          scorer,
          List.of(new ScoreRequest(new int[] {1, 2}, 1, new int[] {-1}, 1)),
          "request 0: support id: -1 at 0 (expected: 0 to 76)");
      assertRefused(
          scorer,
          List.of(ScoreRequest.of(new int[] {1, 2}, 0)),
          "request 0: first position 0 (expected: 1 to 2)");
      assertRefused(
          scorer,
          List.of(new ScoreRequest(new int[] {1, 2}, 1, new int[] {1, 2}, 1)),
          "request 0: 2 support ids (expected: 1 rows x 1)");
      assertRefused(
          scorer,
          List.of(ScoreRequest.of(new int[129], 1)),
          "request 0: 129 tokens (expected: at most 128, the model's positions)");
    }
  }

  @Test
  void aClosedScorerSaysSo() {
    SmallModels model = SmallModels.QWEN2_WITH_BIAS;
    Scorer scorer =
        new Scorer(
            model.config(),
            RandomModel.variedWeights(model.config(), 7),
            3,
            RuntimeOptions.DEFAULT);
    scorer.close();
    scorer.close();
    assertThatThrownBy(() -> scorer.score(List.of(ScoreRequest.of(new int[] {1, 2}, 1))))
        .isInstanceOf(IllegalStateException.class);
  }

  private static Scorer scorer(ModelConfig config, OnnxModel model, int k) {
    return new Scorer(
        config,
        ScorerOptions.topK(k),
        new OpenSession(OrtSessions.open(model, RuntimeOptions.DEFAULT), null));
  }

  private static List<Scores> scores(
      ModelConfig config,
      Weights weights,
      ScorerOptions wanted,
      int chunkRows,
      List<ScoreRequest> requests) {
    OnnxModel graph =
        ScoringGraph.build(
            config, weights, wanted.k(), wanted.draws(), chunkRows, GraphOptions.inMemory());
    OpenSession open = new OpenSession(OrtSessions.open(graph, RuntimeOptions.DEFAULT), null);
    try (Scorer scorer = new Scorer(config, wanted, open)) {
      return scorer.score(requests);
    }
  }

  private static void assertRefused(Scorer scorer, List<ScoreRequest> requests, String message) {
    assertThatThrownBy(() -> scorer.score(requests))
        .isInstanceOf(ModelException.class)
        .hasMessage(message);
  }

  /** Mean absolute error of the top log-probs. */
  private static double meanError(Scores scores, double[][] truth) {
    double sum = 0;
    for (int i = 0; i < scores.topIds().length; i++) {
      sum += Math.abs(scores.topLogprobs()[i] - truth[i / scores.k()][scores.topIds()[i]]);
    }
    return sum / scores.topIds().length;
  }

  private static double[][] logprobs(ModelConfig config, Weights weights, int[] tokens) {
    return Arrays.stream(ReferenceForward.logits(config, weights, tokens))
        .map(ReferenceForward::logSoftmax)
        .toArray(double[][]::new);
  }

  private static void assertScores(
      Scores scores, int[] tokens, int first, int[] support, double[][] truth, double tolerance) {
    int k = scores.k();
    int columns = support.length / scores.rows();
    for (int row = 0; row < scores.rows(); row++) {
      double[] logprobs = truth[first + row - 1];
      Integer[] order = IntStream.range(0, logprobs.length).boxed().toArray(Integer[]::new);
      Arrays.sort(order, Comparator.comparingDouble(id -> -logprobs[id]));
      double tail = 0;
      double entropy = 0;
      for (int i = 0; i < logprobs.length; i++) {
        tail += i < k ? 0 : Math.exp(logprobs[order[i]]);
        entropy -= Math.exp(logprobs[i]) * logprobs[i];
      }
      for (int i = 0; i < k; i++) {
        int id = scores.topIds()[row * k + i];
        double logprob = scores.topLogprobs()[row * k + i];
        assertThat(logprob).isCloseTo(logprobs[id], within(tolerance));
        assertThat(logprob).isCloseTo(logprobs[order[i]], within(tolerance));
      }
      for (int i = 0; i < columns; i++) {
        int id = support[row * columns + i];
        assertThat((double) scores.supportLogprobs()[row * columns + i])
            .isCloseTo(logprobs[id], within(tolerance));
      }
      assertThat((double) scores.tokenLogprobs()[row])
          .isCloseTo(logprobs[tokens[first + row]], within(tolerance));
      assertThat((double) scores.tailLogMass()[row]).isCloseTo(Math.log(tail), within(tolerance));
      assertThat((double) scores.entropy()[row]).isCloseTo(entropy, within(tolerance));
    }
  }
}
