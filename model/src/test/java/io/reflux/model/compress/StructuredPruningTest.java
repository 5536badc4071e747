package io.reflux.model.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.Checkpoints;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.PruningReport.PrunedMatrix;
import io.reflux.model.compress.PruningTarget.Part;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class StructuredPruningTest {
  private static final PrunedShape HALF = new PrunedShape(3, 32, 2);

  @TempDir Path directory;

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void aPrunedModelIsTheDenseOneWithoutWhatTheMaskLeavesOut(Architecture architecture) {
    ModelConfig config = config(architecture);
    Weights weights = RandomModel.variedWeights(config, 5);
    PrunedModel pruned =
        StructuredPruning.prune(
            config,
            weights,
            HALF,
            PruningOptions.DEFAULT.withoutRefit(),
            text(config, 1),
            RuntimeOptions.DEFAULT);

    int[] ids = text(config, 2).get(0);
    double[][] expected =
        ReferenceForward.logits(config, withZeros(config, weights, pruned.mask()), ids);
    double[][] actual = ReferenceForward.logits(pruned.config(), pruned.weights(), ids);
    for (int t = 0; t < ids.length; t++) {
      for (int i = 0; i < expected[t].length; i++) {
        assertThat(actual[t][i]).isCloseTo(expected[t][i], within(1e-9));
      }
    }
    assertThat(pruned.mask().shape()).isEqualTo(HALF);
    assertThat(pruned.mask().layers()).containsExactly(0, 1, 2);
  }

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void aPrunedModelIsACheckpointLikeAnyOther(Architecture architecture) {
    ModelConfig config = config(architecture);
    Weights weights = RandomModel.variedWeights(config, 6);
    PrunedShape shape = new PrunedShape(2, 32, 1);
    PrunedModel pruned = prune(config, weights, shape);

    assertThat(pruned.config()).isEqualTo(config.resized(2, 32, 2, 1));
    Checkpoints.save(directory, pruned.config(), pruned.weights(), DType.F32);
    Checkpoint back = Checkpoints.load(directory);
    assertThat(back.config()).isEqualTo(pruned.config());
    assertThat(back.weights().fingerprint()).isEqualTo(pruned.weights().fingerprint());
    int[] ids = text(config, 2).get(0);
    double[][] logits = ReferenceForward.logits(back.config(), back.weights(), ids);
    try (Scorer scorer = new Scorer(back.config(), back.weights(), 1, RuntimeOptions.DEFAULT)) {
      float[] scored = scorer.score(List.of(ScoreRequest.of(ids, 1))).get(0).tokenLogprobs();
      for (int t = 1; t < ids.length; t++) {
        assertThat((double) scored[t - 1])
            .isCloseTo(ReferenceForward.logSoftmax(logits[t - 1])[ids[t]], within(2e-4));
      }
    }
    PruningReport report = pruned.report();
    assertThat(report.parametersBefore()).isEqualTo(config.parameters());
    assertThat(report.parametersAfter()).isEqualTo(pruned.config().parameters());
    assertThat(report.blockImportance()).hasSize(3);
    assertThat(report.matrices())
        .extracting(
            PrunedMatrix::layer, PrunedMatrix::part, PrunedMatrix::before, PrunedMatrix::kept)
        .containsExactly(
            tuple(pruned.mask().layers().get(0), Part.KV, 4, 1),
            tuple(pruned.mask().layers().get(0), Part.NEURONS, 64, 32),
            tuple(pruned.mask().layers().get(1), Part.KV, 4, 1),
            tuple(pruned.mask().layers().get(1), Part.NEURONS, 64, 32));
    // The same again, to the bit.
    assertThat(prune(config, weights, shape).weights().fingerprint())
        .isEqualTo(pruned.weights().fingerprint());
  }

  @Test
  void refitComesNearerToTheDenseModelThanTheMaskAlone() {
    ModelConfig config = config(Architecture.LLAMA);
    Weights weights = RandomModel.variedWeights(config, 7);
    PruningOptions options = PruningOptions.DEFAULT;
    List<int[]> calibration = text(config, 1);
    PrunedModel refitted =
        StructuredPruning.prune(
            config, weights, HALF, options, calibration, RuntimeOptions.DEFAULT);
    PrunedModel masked =
        StructuredPruning.prune(
            config, weights, HALF, options.withoutRefit(), calibration, RuntimeOptions.DEFAULT);

    for (PrunedMatrix matrix : refitted.report().matrices()) {
      assertThat(matrix.refittedError()).isBetween(0.0, matrix.maskedError());
    }
    assertThat(divergence(config, weights, refitted))
        .isLessThan(divergence(config, weights, masked));
  }

  @Test
  void neuronsThatRepeatOthersGoWithoutATrace() {
    ModelConfig config = config(Architecture.QWEN3);
    // The second half of the neurons opens and fills as the first does.
    Weights weights =
        changed(
            config,
            RandomModel.variedWeights(config, 8),
            (name, floats) -> {
              if (name.endsWith("gate_proj.weight") || name.endsWith("up_proj.weight")) {
                System.arraycopy(floats, 0, floats, floats.length / 2, floats.length / 2);
              }
              return floats;
            });
    PrunedModel pruned =
        StructuredPruning.prune(
            config,
            weights,
            new PrunedShape(3, 32, 4),
            new PruningOptions(true, 4, 1, 1, 1e-5),
            text(config, 1),
            RuntimeOptions.DEFAULT);

    for (PrunedMatrix matrix : pruned.report().matrices()) {
      assertThat(matrix.maskedError()).isGreaterThan(0.05);
      assertThat(matrix.refittedError()).isLessThan(1e-4);
    }
    for (List<Integer> neurons : pruned.mask().neurons()) {
      Set<Integer> different = new HashSet<>();
      neurons.forEach(neuron -> different.add(neuron % 32));
      assertThat(different).hasSize(32);
    }
    assertThat(divergence(config, weights, pruned)).isLessThan(1e-3);
  }

  @Test
  void aBlockThatDoesNothingGoesFirst() {
    ModelConfig config = config(Architecture.MISTRAL);
    Weights weights =
        changed(
            config,
            RandomModel.variedWeights(config, 9),
            (name, floats) ->
                name.equals(TensorNames.output(1)) || name.equals(TensorNames.down(1))
                    ? new float[floats.length]
                    : floats);
    PrunedModel pruned = prune(config, weights, new PrunedShape(2, 64, 4));

    assertThat(pruned.mask().layers()).containsExactly(0, 2);
    assertThat(pruned.report().blockImportance().get(1)).isCloseTo(0, within(1e-5));
    assertThat(pruned.report().matrices()).isEmpty();
    int[] ids = text(config, 2).get(0);
    assertThat(ReferenceForward.logits(pruned.config(), pruned.weights(), ids))
        .isDeepEqualTo(ReferenceForward.logits(config, weights, ids));
  }

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void importanceIsOfTheResidualStream(Architecture architecture) {
    ModelConfig config = config(architecture);
    Weights weights = RandomModel.variedWeights(config, 10);
    List<int[]> sequences = text(config, 3);
    double[] similar = new double[config.layers()];
    int tokens = 0;
    for (int[] ids : sequences) {
      List<double[][]> residuals = ReferenceForward.trace(config, weights, ids).residuals();
      tokens += ids.length;
      for (int layer = 0; layer < config.layers(); layer++) {
        for (int t = 0; t < ids.length; t++) {
          similar[layer] += cosine(residuals.get(layer)[t], residuals.get(layer + 1)[t]);
        }
      }
    }
    List<Double> importance =
        BlockImportance.of(config, weights, sequences, RuntimeOptions.DEFAULT);
    for (int layer = 0; layer < config.layers(); layer++) {
      assertThat(importance.get(layer)).isCloseTo(1 - similar[layer] / tokens, within(1e-5));
    }
  }

  @Test
  void aModelThatDivergedIsRefusedByName() {
    ModelConfig config = config(Architecture.LLAMA);
    Weights weights =
        changed(
            config,
            RandomModel.weights(config, 1),
            (name, floats) -> {
              if (name.equals(TensorNames.gate(0))) {
                floats[3] = Float.NaN;
              }
              return floats;
            });
    assertThatThrownBy(() -> prune(config, weights, new PrunedShape(3, 32, 4)))
        .isInstanceOf(ModelException.class)
        .hasMessage(TensorNames.gate(0) + ": NaN at element 3 (expected: finite weights)");
    assertThatThrownBy(
            () -> prune(config, RandomModel.weights(config, 1), new PrunedShape(4, 32, 4)))
        .hasMessage("pruned shape: layers: 4 (expected: at most 3, the model's)");
  }

  @Test
  void masksMustFitTheModelAndEachOther() {
    ModelConfig config = config(Architecture.LLAMA);
    Weights weights = RandomModel.weights(config, 1);
    assertThatThrownBy(
            () -> new PruningMask(List.of(0, 2), List.of(List.of(0)), List.of(List.of(0))))
        .isInstanceOf(ModelException.class);
    assertThatThrownBy(
            () -> new PruningMask(List.of(1, 0), List.of(List.of(0)), List.of(List.of(0))))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("pruning mask: layers");
    PruningMask beyond = new PruningMask(List.of(0), List.of(List.of(0, 4)), List.of(List.of(0)));
    assertThatThrownBy(() -> beyond.cut(config, weights))
        .hasMessage("pruning mask: key-value head 4 (expected: 0 to 3)");
    assertThat(PruningMask.all(config).cut(config, weights).fingerprint())
        .isEqualTo(weights.fingerprint());
  }

  private static PrunedModel prune(ModelConfig config, Weights weights, PrunedShape shape) {
    return StructuredPruning.prune(
        config, weights, shape, PruningOptions.DEFAULT, text(config, 1), RuntimeOptions.DEFAULT);
  }

  /** Three layers, four groups of two heads, tied or not as the family goes. */
  private static ModelConfig config(Architecture architecture) {
    long seed = 0;
    ModelConfig random = RandomModel.config(architecture, seed);
    while (random.hiddenSize() != 32 && random.hiddenSize() != 48) {
      random = RandomModel.config(architecture, ++seed);
    }
    return random.resized(3, 64, 8, 4);
  }

  private static List<int[]> text(ModelConfig config, long seed) {
    Random random = new Random(seed);
    return IntStream.range(0, 12)
        .mapToObj(i -> random.ints(10 + i, 0, config.vocabularySize()).toArray())
        .toList();
  }

  /** The dense weights with zeros in the rows that the mask leaves out: what it must amount to. */
  private static Weights withZeros(ModelConfig config, Weights weights, PruningMask mask) {
    int groupSize = config.heads() / config.keyValueHeads() * config.headSize();
    return changed(
        config,
        weights,
        (name, floats) -> {
          for (int layer = 0; layer < config.layers(); layer++) {
            List<Integer> neurons = mask.neurons().get(layer);
            List<Integer> heads = mask.keyValueHeads().get(layer);
            for (int i = 0; i < floats.length; i++) {
              boolean neuron =
                  name.equals(TensorNames.gate(layer))
                      && !neurons.contains(i / config.hiddenSize());
              boolean head =
                  name.equals(TensorNames.output(layer))
                      && !heads.contains(i % (config.heads() * config.headSize()) / groupSize);
              floats[i] = neuron || head ? 0 : floats[i];
            }
          }
          return floats;
        });
  }

  private static Weights changed(
      ModelConfig config, Weights weights, BiFunction<String, float[], float[]> change) {
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      builder.floats(
          tensor.name(),
          tensor.shape().stream().mapToLong(Long::longValue).toArray(),
          change.apply(tensor.name(), weights.floats(tensor.name())));
    }
    return builder.build();
  }

  /** Mean KL from the dense to the pruned model on text that neither has seen. */
  private static double divergence(ModelConfig config, Weights weights, PrunedModel pruned) {
    double sum = 0;
    int count = 0;
    for (int[] ids : text(config, 4)) {
      double[][] dense = ReferenceForward.logits(config, weights, ids);
      double[][] small = ReferenceForward.logits(pruned.config(), pruned.weights(), ids);
      for (int t = 0; t < ids.length; t++, count++) {
        double[] p = ReferenceForward.logSoftmax(dense[t]);
        double[] q = ReferenceForward.logSoftmax(small[t]);
        for (int i = 0; i < p.length; i++) {
          sum += Math.exp(p[i]) * (p[i] - q[i]);
        }
      }
    }
    return sum / count;
  }

  private static double cosine(double[] a, double[] b) {
    double product = 0;
    double ofA = 0;
    double ofB = 0;
    for (int i = 0; i < a.length; i++) {
      product += a[i] * b[i];
      ofA += a[i] * a[i];
      ofB += b[i] * b[i];
    }
    return product / Math.sqrt(ofA * ofB);
  }
}
