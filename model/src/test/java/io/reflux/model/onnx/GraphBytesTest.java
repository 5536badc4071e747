package io.reflux.model.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class GraphBytesTest {
  @ParameterizedTest
  @EnumSource
  void theSameWeightsGiveTheSameBytes(Architecture architecture, @TempDir Path directory)
      throws IOException {
    ModelConfig config = RandomModel.config(architecture, 4);
    Weights floats = RandomModel.weights(config, 1);
    for (Weights weights :
        List.of(floats, Quantiser.of(WeightFormat.INT8).quantise(config, floats))) {
      // A copy, so that nothing rests on the identity of objects.
      Weights copy = MemoryWeights.copyOf(weights);
      GraphOptions options = GraphOptions.inMemory();
      assertThat(ScoringGraph.build(config, copy, 4, options).bytes())
          .isEqualTo(ScoringGraph.build(config, weights, 4, options).bytes());
      assertThat(DecodeGraph.build(config, copy, 32, options).bytes())
          .isEqualTo(DecodeGraph.build(config, weights, 32, options).bytes());

      OnnxModel first = inFile(config, weights, directory.resolve("first"));
      OnnxModel second = inFile(config, copy, directory.resolve("second"));
      assertThat(second.bytes()).isEqualTo(first.bytes());
      assertThat(second.dataFile().orElseThrow())
          .hasSameBinaryContentAs(first.dataFile().orElseThrow());
    }
  }

  @Test
  void graphsNameTheirVersionsAndKeepTiedWeightsOnce() throws IOException {
    ModelConfig config = tied(RandomModel.config(Architecture.LLAMA, 4));
    Weights weights = RandomModel.weights(config, 1);
    ModelProto model =
        ModelProto.parseFrom(
            ScoringGraph.build(config, weights, 4, GraphOptions.inMemory()).bytes());
    assertThat(model.getIrVersion()).isEqualTo(10);
    assertThat(model.getOpsetImport(0).getVersion()).isEqualTo(21);
    assertThat(model.getOpsetImport(1).getDomain()).isEqualTo("com.microsoft");
    assertThat(model.getGraph().getInitializerList())
        .filteredOn(
            tensor ->
                tensor
                    .getDimsList()
                    .equals(List.of((long) config.vocabularySize(), (long) config.hiddenSize())))
        .hasSize(1);
    assertThat(model.getGraph().getNodeList())
        .filteredOn(node -> node.getOpType().equals("GroupQueryAttention"))
        .hasSize(config.layers());
  }

  @Test
  void valuesHaveDistinctNames() throws IOException {
    for (Architecture architecture : Architecture.values()) {
      ModelConfig config = RandomModel.config(architecture, 4);
      Weights weights =
          Quantiser.of(WeightFormat.INT8).quantise(config, RandomModel.weights(config, 1));
      ModelProto model =
          ModelProto.parseFrom(
              DecodeGraph.build(config, weights, 16, GraphOptions.inMemory()).bytes());
      List<String> outputs =
          model.getGraph().getNodeList().stream()
              .map(NodeProto::getOutputList)
              .flatMap(List::stream)
              .filter(name -> !name.isEmpty())
              .toList();
      assertThat(outputs).doesNotHaveDuplicates();
    }
  }

  @Test
  void weightsThatDoNotFitTheConfigurationAreNamed() {
    ModelConfig config = RandomModel.config(Architecture.QWEN2, 4);
    Weights weights = RandomModel.weights(config, 1);
    Weights without = replaced(weights, TensorNames.gate(0), null);
    assertThatThrownBy(() -> ScoringGraph.build(config, without, 4, GraphOptions.inMemory()))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(TensorNames.gate(0))
        .hasMessageContaining("missing");
    Weights shorter = replaced(weights, TensorNames.inputNorm(0), new float[] {1, 2});
    assertThatThrownBy(() -> ScoringGraph.build(config, shorter, 4, GraphOptions.inMemory()))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(TensorNames.inputNorm(0) + ": 2 elements");
    assertThatThrownBy(() -> DecodeGraph.build(config, weights, 257, GraphOptions.inMemory()))
        .isInstanceOf(ModelException.class)
        .hasMessage("positions: 257 (expected: 1 to 256, the model's most)");
  }

  @Test
  void aDataFileThatCannotBeWrittenIsNamed(@TempDir Path directory) throws IOException {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 4);
    Weights weights = RandomModel.weights(config, 1);
    Path file = Files.createFile(directory.resolve("file"));
    assertThatThrownBy(() -> inFile(config, weights, file))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(file.toString());
  }

  private static OnnxModel inFile(ModelConfig config, Weights weights, Path directory) {
    return ScoringGraph.build(config, weights, 4, new GraphOptions(4, 0, directory));
  }

  private static Weights replaced(Weights weights, String name, float[] by) {
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      if (!tensor.name().equals(name)) {
        builder.floats(
            tensor.name(),
            tensor.shape().stream().mapToLong(Long::longValue).toArray(),
            weights.floats(tensor.name()));
      } else if (by != null) {
        builder.floats(name, new long[] {by.length}, by);
      }
    }
    return builder.build();
  }

  private static ModelConfig tied(ModelConfig c) {
    return new ModelConfig(
        c.architecture(),
        c.vocabularySize(),
        c.hiddenSize(),
        c.intermediateSize(),
        c.layers(),
        c.heads(),
        c.keyValueHeads(),
        c.headSize(),
        c.maxPositions(),
        c.rmsNormEpsilon(),
        c.ropeTheta(),
        c.ropeScaling(),
        true,
        c.attentionBias(),
        c.qkNorm(),
        c.slidingWindow(),
        c.bosTokenId(),
        c.eosTokenIds());
  }
}
