package io.reflux.model.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * Nodes, tensors, inputs and outputs in the order they are added, so that the same calls give the
 * same bytes. Values are named by the caller; an empty input name is an optional input left out.
 */
final class GraphBuilder implements AutoCloseable {
  /** Operators that ONNX Runtime adds. */
  static final String MICROSOFT = "com.microsoft";

  static final int FLOAT = TensorProto.DataType.FLOAT_VALUE;
  static final int FLOAT8 = TensorProto.DataType.FLOAT8E4M3FN_VALUE;
  static final int UINT8 = TensorProto.DataType.UINT8_VALUE;
  static final int INT8 = TensorProto.DataType.INT8_VALUE;
  static final int FLOAT16 = TensorProto.DataType.FLOAT16_VALUE;
  static final int BFLOAT16 = TensorProto.DataType.BFLOAT16_VALUE;
  static final int INT32 = TensorProto.DataType.INT32_VALUE;
  static final int INT64 = TensorProto.DataType.INT64_VALUE;

  private static final long IR_VERSION = 10;
  private static final long OPSET = 21;
  // Shapes and axes must be in the bytes: ONNX Runtime looks at them before it opens data files.
  private static final long SMALLEST_IN_FILE = 1024;

  private final GraphProto.Builder graph = GraphProto.newBuilder();
  // Where nodes, inputs and outputs go: the graph, or the body that is being written.
  private GraphProto.Builder scope = graph;
  private final DataFile dataFile;

  /**
   * Starts a graph.
   *
   * @param weightBytes about how much the tensors will take
   */
  GraphBuilder(String name, long weightBytes, GraphOptions options) {
    graph.setName(name);
    dataFile =
        weightBytes > options.dataThresholdBytes()
            ? createDataFile(options.dataDirectory(), name + ".onnx.data")
            : null;
  }

  /** ONNX's number of an element type. */
  static int typeOf(DType type) {
    return switch (type) {
      case F32 -> FLOAT;
      case F16 -> FLOAT16;
      case BF16 -> BFLOAT16;
      case I8, I4, F8_E4M3 ->
          throw new IllegalArgumentException(type + " (expected: numbers without scales)");
    };
  }

  /** An attribute of a node. */
  static AttributeProto attribute(String name, long value) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.INT)
        .setI(value)
        .build();
  }

  /** An attribute of a node. */
  static AttributeProto attribute(String name, float value) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.FLOAT)
        .setF(value)
        .build();
  }

  /** An attribute of a node. */
  static AttributeProto attribute(String name, String value) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.STRING)
        .setS(ByteString.copyFromUtf8(value))
        .build();
  }

  /**
   * Begins the body of a loop: nodes, inputs and outputs go there until it is closed. It sees the
   * graph's values by their names, and its tensors are kept in the graph, outside the loop.
   */
  void openBody(String name) {
    if (scope != graph) {
      throw new IllegalStateException(name + ": inside " + scope.getName());
    }
    scope = GraphProto.newBuilder().setName(name);
  }

  /** Ends the body, and returns it as the attribute of the node that runs it. */
  AttributeProto closeBody() {
    if (scope == graph) {
      throw new IllegalStateException("no body is open");
    }
    AttributeProto body =
        AttributeProto.newBuilder()
            .setName("body")
            .setType(AttributeProto.AttributeType.GRAPH)
            .setG(scope)
            .build();
    scope = graph;
    return body;
  }

  /**
   * A dimension of an input or output.
   *
   * @param name of one that is free, empty for none: readers tell by it what must be equal
   * @param size below 0 where it is free
   */
  record Dimension(String name, long size) {
    static Dimension free(String name) {
      return new Dimension(name, -1);
    }

    static Dimension of(long size) {
      return new Dimension("", size);
    }
  }

  /** Adds a graph input; a dimension below 0 is free. */
  String input(String name, int type, long... shape) {
    return input(name, type, dimensions(shape));
  }

  /** Adds a graph input. */
  String input(String name, int type, List<Dimension> shape) {
    scope.addInput(value(name, type, shape));
    return name;
  }

  /** Makes a value an output; a dimension below 0 is free. */
  void output(String name, int type, long... shape) {
    output(name, type, dimensions(shape));
  }

  /** Makes a value an output. */
  void output(String name, int type, List<Dimension> shape) {
    scope.addOutput(value(name, type, shape));
  }

  /** Adds a node of the standard operators with one output, and returns the output's name. */
  String node(String operator, String output, List<String> inputs, AttributeProto... attributes) {
    return node(operator, "", List.of(output), inputs, attributes);
  }

  /** Adds a node, and returns the name of its first output. */
  String node(
      String operator,
      String domain,
      List<String> outputs,
      List<String> inputs,
      AttributeProto... attributes) {
    NodeProto.Builder node =
        NodeProto.newBuilder().setOpType(operator).setName(outputs.get(0) + ":" + operator);
    if (!domain.isEmpty()) {
      node.setDomain(domain);
    }
    node.addAllInput(inputs).addAllOutput(outputs).addAllAttribute(List.of(attributes));
    scope.addNode(node);
    return outputs.get(0);
  }

  /** Adds a vector of 64-bit integers: a shape, axes or indices. */
  String longs(String name, long... values) {
    TensorProto.Builder tensor =
        TensorProto.newBuilder().setName(name).setDataType(INT64).addDims(values.length);
    for (long value : values) {
      tensor.addInt64Data(value);
    }
    graph.addInitializer(tensor);
    return name;
  }

  /** Adds a 32-bit integer without dimensions. */
  String scalar(String name, int value) {
    graph.addInitializer(
        TensorProto.newBuilder().setName(name).setDataType(INT32).addInt32Data(value));
    return name;
  }

  /** Adds an unsigned byte without dimensions. */
  String byteScalar(String name, int value) {
    graph.addInitializer(
        TensorProto.newBuilder().setName(name).setDataType(UINT8).addInt32Data(value));
    return name;
  }

  /** Adds a number without dimensions. */
  String scalar(String name, float value) {
    return scalar(name, FLOAT, value);
  }

  /**
   * Adds a number without dimensions.
   *
   * @param type FLOAT, FLOAT16 or BFLOAT16
   */
  String scalar(String name, int type, float value) {
    if (type == FLOAT) {
      graph.addInitializer(
          TensorProto.newBuilder().setName(name).setDataType(FLOAT).addFloatData(value));
      return name;
    }
    return tensor(name, type, sink -> sink.floats(new float[] {value}));
  }

  /** Adds a cast; nothing, when the value has the type already. */
  String cast(String output, String input, int from, int to) {
    return from == to ? input : node("Cast", output, List.of(input), attribute("to", to));
  }

  /**
   * Adds a tensor whose elements the source writes.
   *
   * @param type FLOAT, FLOAT16, BFLOAT16, FLOAT8 or UINT8; floats are rounded to the 16-bit types
   */
  String tensor(String name, int type, TensorSource source, long... shape) {
    TensorProto.Builder tensor = TensorProto.newBuilder().setName(name).setDataType(type);
    long bytes = elementBytes(type);
    for (long dimension : shape) {
      tensor.addDims(dimension);
      bytes = Math.multiplyExact(bytes, dimension);
    }
    if (dataFile != null && bytes >= SMALLEST_IN_FILE) {
      long offset = dataFile.align();
      source.writeTo(narrowing(type, dataFile));
      if (dataFile.position() - offset != bytes) {
        throw new IllegalStateException(
            name
                + ": wrote "
                + (dataFile.position() - offset)
                + " bytes (expected: "
                + bytes
                + ")");
      }
      tensor
          .setDataLocation(TensorProto.DataLocation.EXTERNAL)
          .addExternalData(entry("location", dataFile.path().getFileName().toString()))
          .addExternalData(entry("offset", Long.toString(offset)))
          .addExternalData(entry("length", Long.toString(bytes)));
    } else {
      HeapSink sink = new HeapSink(bytes);
      source.writeTo(narrowing(type, sink));
      tensor.setRawData(UnsafeByteOperations.unsafeWrap(sink.array()));
    }
    graph.addInitializer(tensor);
    return name;
  }

  /** The finished model. */
  OnnxModel build() {
    ModelProto model =
        ModelProto.newBuilder()
            .setIrVersion(IR_VERSION)
            .setProducerName("reflux")
            .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(OPSET))
            .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain(MICROSOFT).setVersion(1))
            .setGraph(graph)
            .build();
    close();
    return new OnnxModel(model.toByteArray(), dataFile == null ? null : dataFile.path());
  }

  @Override
  public void close() {
    if (dataFile == null) {
      return;
    }
    try {
      dataFile.close();
    } catch (IOException e) {
      throw new ModelException(dataFile.path() + ": cannot write the graph's data: " + e, e);
    }
  }

  private static int elementBytes(int type) {
    return switch (type) {
      case FLOAT -> Float.BYTES;
      case FLOAT16, BFLOAT16 -> Short.BYTES;
      case UINT8, FLOAT8 -> 1;
      default -> throw new IllegalArgumentException("tensor type: " + type);
    };
  }

  private static TensorSink narrowing(int type, TensorSink sink) {
    return switch (type) {
      case FLOAT16 -> new NarrowingSink(DType.F16, sink);
      case BFLOAT16 -> new NarrowingSink(DType.BF16, sink);
      default -> sink;
    };
  }

  private static DataFile createDataFile(Path directory, String name) {
    if (directory == null) {
      throw new ModelException("data directory: none (expected: one, the weights are too large)");
    }
    Path path = directory.resolve(name);
    try {
      Files.createDirectories(directory);
      Files.deleteIfExists(path);
      return DataFile.create(path);
    } catch (IOException e) {
      throw new ModelException(path + ": cannot write the graph's data: " + e, e);
    }
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  private static List<Dimension> dimensions(long... shape) {
    return Arrays.stream(shape).mapToObj(Dimension::of).toList();
  }

  private static ValueInfoProto value(String name, int type, List<Dimension> shape) {
    TensorShapeProto.Builder dimensions = TensorShapeProto.newBuilder();
    for (Dimension dimension : shape) {
      TensorShapeProto.Dimension.Builder one = TensorShapeProto.Dimension.newBuilder();
      if (dimension.size() >= 0) {
        one.setDimValue(dimension.size());
      } else if (!dimension.name().isEmpty()) {
        one.setDimParam(dimension.name());
      }
      dimensions.addDim(one);
    }
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            TypeProto.newBuilder()
                .setTensorType(
                    TypeProto.Tensor.newBuilder().setElemType(type).setShape(dimensions)))
        .build();
  }
}
