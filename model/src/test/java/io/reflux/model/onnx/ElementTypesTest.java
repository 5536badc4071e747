package io.reflux.model.onnx;

import static org.assertj.core.api.Assertions.assertThat;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.InvalidProtocolBufferException;
import io.reflux.model.checkpoint.Checkpoints;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.Halves;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ElementTypesTest {
  private static final int FLOAT = TensorProto.DataType.FLOAT_VALUE;
  private static final int FLOAT16 = TensorProto.DataType.FLOAT16_VALUE;
  private static final int BFLOAT16 = TensorProto.DataType.BFLOAT16_VALUE;

  /** The processor runs only the one, so that the other must not differ from it by more. */
  @ParameterizedTest
  @EnumSource
  void bfloat16GraphsAreFloat16GraphsOfAnotherType(Architecture architecture)
      throws InvalidProtocolBufferException {
    for (long seed = 0; seed < 6; seed++) {
      ModelConfig config = RandomModel.config(architecture, seed);
      Weights floats = RandomModel.variedWeights(config, seed);
      for (Weights weights :
          List.of(floats, Quantiser.of(WeightFormat.INT8).quantise(config, floats))) {
        GraphProto half = decodeGraph(config, weights, DType.F16);
        GraphProto brain = decodeGraph(config, weights, DType.BF16);
        assertThat(brain.getInputList())
            .isEqualTo(half.getInputList().stream().map(ElementTypesTest::retyped).toList());
        assertThat(brain.getOutputList())
            .isEqualTo(half.getOutputList().stream().map(ElementTypesTest::retyped).toList());
        assertThat(brain.getInitializerList().stream().map(ElementTypesTest::label))
            .isEqualTo(
                half.getInitializerList().stream().map(tensor -> label(retyped(tensor))).toList());
        // CUDA cannot pad bfloat16: casts to float32 and back surround it.
        if (half.getNodeList().stream().noneMatch(node -> node.getOpType().equals("Pad"))) {
          assertThat(brain.getNodeList())
              .isEqualTo(half.getNodeList().stream().map(ElementTypesTest::retyped).toList());
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F16", "BF16"})
  void everythingBelowTheFinalNormHasTheTypeAndNothingAbove(DType type)
      throws InvalidProtocolBufferException {
    ModelConfig config = RandomModel.config(Architecture.QWEN2, 4);
    int number = type == DType.F16 ? FLOAT16 : BFLOAT16;
    GraphProto graph = decodeGraph(config, RandomModel.weights(config, 1), type);
    Set<String> wide = new HashSet<>(Set.of("final_gain", "head"));
    if (config.tiedEmbeddings()) {
      wide.add("embedding");
    }
    for (TensorProto tensor : graph.getInitializerList()) {
      if (tensor.getDataType() == FLOAT) {
        assertThat(wide).contains(tensor.getName());
      } else if (tensor.getDataType() != TensorProto.DataType.INT64_VALUE
          && tensor.getDataType() != TensorProto.DataType.INT32_VALUE) {
        assertThat(tensor.getDataType()).as(tensor.getName()).isEqualTo(number);
      }
    }
    for (ValueInfoProto output : graph.getOutputList()) {
      assertThat(output.getType().getTensorType().getElemType())
          .as(output.getName())
          .isEqualTo(output.getName().equals(DecodeGraph.LOGPROBS) ? FLOAT : number);
    }
  }

  @Test
  void storedBytesGoIntoTheGraphAsTheyAre(@TempDir Path directory)
      throws InvalidProtocolBufferException {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 4);
    for (DType type : List.of(DType.F16, DType.BF16)) {
      Path folder = directory.resolve(type.name());
      Checkpoints.save(folder, config, RandomModel.variedWeights(config, 3), type);
      Weights stored = Checkpoints.load(folder).weights();
      Weights weights =
          new NeverWidened(
              stored, Set.of(TensorNames.EMBEDDING, TensorNames.HEAD, TensorNames.FINAL_NORM));
      TensorProto down =
          decodeGraph(config, weights, type).getInitializerList().stream()
              .filter(tensor -> tensor.getName().equals("layer0.down_weight"))
              .findFirst()
              .orElseThrow();
      ByteBuffer bytes = down.getRawData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
      for (float expected : stored.floats(TensorNames.down(0))) {
        short bits = bytes.getShort();
        assertThat(type == DType.F16 ? Halves.fromFloat16(bits) : Halves.fromBfloat16(bits))
            .isEqualTo(expected);
      }
      assertThat(bytes.hasRemaining()).isFalse();
    }
  }

  private static GraphProto decodeGraph(ModelConfig config, Weights weights, DType type)
      throws InvalidProtocolBufferException {
    GraphOptions options = GraphOptions.inMemory().withType(type);
    return ModelProto.parseFrom(DecodeGraph.build(config, weights, 16, options).bytes()).getGraph();
  }

  private static ValueInfoProto retyped(ValueInfoProto value) {
    ValueInfoProto.Builder builder = value.toBuilder();
    if (builder.getType().getTensorType().getElemType() == FLOAT16) {
      builder.getTypeBuilder().getTensorTypeBuilder().setElemType(BFLOAT16);
    }
    return builder.build();
  }

  private static TensorProto retyped(TensorProto tensor) {
    return tensor.getDataType() == FLOAT16
        ? tensor.toBuilder().setDataType(BFLOAT16).build()
        : tensor;
  }

  private static NodeProto retyped(NodeProto node) {
    NodeProto.Builder builder = node.toBuilder();
    for (AttributeProto.Builder attribute : builder.getAttributeBuilderList()) {
      if (node.getOpType().equals("Cast") && attribute.getI() == FLOAT16) {
        attribute.setI(BFLOAT16);
      }
    }
    return builder.build();
  }

  /** All but the elements. */
  private static String label(TensorProto tensor) {
    return tensor.getName() + " " + tensor.getDataType() + " " + tensor.getDimsList();
  }

  /** Refuses to turn tensors into float32, a few excepted. */
  private record NeverWidened(Weights weights, Set<String> excepted) implements Weights {
    @Override
    public Collection<TensorInfo> tensors() {
      return weights.tensors();
    }

    @Override
    public float[] floats(String name) {
      assertThat(excepted).contains(name);
      return weights.floats(name);
    }

    @Override
    public boolean stored(String name, DType dtype, ByteChunks into) {
      return weights.stored(name, dtype, into);
    }

    @Override
    public Optional<QuantisedMatrix> quantised(String name) {
      return weights.quantised(name);
    }

    @Override
    public boolean contains(String name) {
      return weights.contains(name);
    }

    @Override
    public String fingerprint() {
      return weights.fingerprint();
    }
  }
}
