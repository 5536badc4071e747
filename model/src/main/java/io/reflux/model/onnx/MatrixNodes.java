package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.FLOAT16;
import static io.reflux.model.onnx.GraphBuilder.MICROSOFT;
import static io.reflux.model.onnx.GraphBuilder.UINT8;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.Halves;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Weight matrices as they stand in a checkpoint, [outputs, inputs], and the nodes that multiply or
 * look up in them. Nothing is transposed, so tied embeddings and head are one tensor.
 */
final class MatrixNodes {
  /** ONNX keeps 8-bit weights unsigned, and takes this for their zero. */
  private static final int ZERO_POINT = 128;

  private static final int SMALLEST_BLOCK = 16;

  private final GraphBuilder graph;
  private final Weights weights;
  private final Map<String, TensorInfo> infos;
  private final int accuracyLevel;

  MatrixNodes(GraphBuilder graph, Weights weights, int accuracyLevel) {
    this.graph = graph;
    this.weights = weights;
    this.infos =
        weights.tensors().stream().collect(Collectors.toMap(TensorInfo::name, Function.identity()));
    this.accuracyLevel = accuracyLevel;
  }

  /**
   * A matrix of the graph.
   *
   * @param scales name of the scales; null when the matrix is not of 8 bits
   * @param blockSize columns that share a scale
   */
  record Matrix(String name, String scales, int rows, int columns, int blockSize) {
    int blocks() {
      return (columns + blockSize - 1) / blockSize;
    }
  }

  /**
   * Adds the matrices of a checkpoint, one below the other, as one.
   *
   * @param type FLOAT, FLOAT16 or BFLOAT16: of the elements, or of the scales of 8-bit ones
   * @param rows of each
   * @param columns of all
   */
  Matrix matrix(String name, int type, List<String> tensorNames, int[] rows, int columns) {
    int totalRows = 0;
    List<QuantisedMatrix> quantised = new ArrayList<>();
    for (int i = 0; i < rows.length; i++) {
      totalRows += rows[i];
      Optional<QuantisedMatrix> found = require(tensorNames.get(i));
      if (found.isPresent() && graphCanHold(found.get())) {
        checkShape(tensorNames.get(i), found.get().rows(), found.get().columns(), rows[i], columns);
        quantised.add(found.get());
      }
    }
    boolean oneBlockSize =
        quantised.stream().mapToInt(QuantisedMatrix::blockSize).distinct().count() == 1;
    if (quantised.size() < rows.length || !oneBlockSize) {
      graph.tensor(
          name,
          type,
          sink -> writeNumbers(sink, type, tensorNames, rows, columns),
          totalRows,
          columns);
      return new Matrix(name, null, totalRows, columns, 1);
    }
    Matrix matrix =
        new Matrix(name, name + ".scales", totalRows, columns, quantised.get(0).blockSize());
    graph.tensor(
        name,
        UINT8,
        sink -> quantised.forEach(one -> writeBytes(sink, one)),
        totalRows,
        matrix.blocks(),
        matrix.blockSize());
    graph.tensor(
        matrix.scales(),
        type,
        sink -> quantised.forEach(one -> sink.floats(one.scales())),
        totalRows,
        matrix.blocks());
    return matrix;
  }

  /**
   * Adds a vector of the checkpoint, or several end to end.
   *
   * @param type FLOAT, FLOAT16 or BFLOAT16
   */
  String vector(String name, int type, List<String> tensorNames, int... lengths) {
    int total = 0;
    for (int length : lengths) {
      total += length;
    }
    return graph.tensor(
        name, type, sink -> writeNumbers(sink, type, tensorNames, lengths, 1), total);
  }

  /**
   * input · matrixᵀ (+ bias), all of the matrix's type.
   *
   * @param input [n, columns]
   * @param bias name of a [rows] tensor, or empty
   * @return [n, rows]
   */
  String multiply(String output, String input, Matrix matrix, String bias) {
    if (matrix.scales() == null) {
      List<String> inputs =
          bias.isEmpty() ? List.of(input, matrix.name()) : List.of(input, matrix.name(), bias);
      return graph.node("Gemm", output, inputs, attribute("transB", 1));
    }
    String product = bias.isEmpty() ? output : output + ".unbiased";
    graph.node(
        "MatMulNBits",
        MICROSOFT,
        List.of(product),
        List.of(input, matrix.name(), matrix.scales()),
        attribute("K", matrix.columns()),
        attribute("N", matrix.rows()),
        attribute("bits", 8),
        attribute("block_size", matrix.blockSize()),
        attribute("accuracy_level", accuracyLevel));
    return bias.isEmpty() ? product : graph.node("Add", output, List.of(product, bias));
  }

  /**
   * Rows of a matrix.
   *
   * @param ids int64, any shape
   * @param type that the matrix was added with
   * @return of that type, [number of ids, columns]
   */
  String lookUp(String output, String ids, Matrix matrix, int type) {
    String flat = graph.longs(output + ".flat", -1, matrix.columns());
    if (matrix.scales() == null) {
      String rows = graph.node("Gather", output + ".rows", List.of(matrix.name(), ids));
      return graph.node("Reshape", output, List.of(rows, flat));
    }
    // Only the rows that are looked up are dequantised.
    int padded = matrix.blocks() * matrix.blockSize();
    String bytes = graph.node("Gather", output + ".bytes", List.of(matrix.name(), ids));
    String numbers = graph.node("Cast", output + ".numbers", List.of(bytes), attribute("to", type));
    String zero = graph.scalar(output + ".zero", type, ZERO_POINT);
    String centred = graph.node("Sub", output + ".centred", List.of(numbers, zero));
    String scales = graph.node("Gather", output + ".scales", List.of(matrix.scales(), ids));
    String last = graph.longs(output + ".last", -1);
    String wide = graph.node("Unsqueeze", output + ".wide", List.of(scales, last));
    String scaled = graph.node("Mul", output + ".scaled", List.of(centred, wide));
    if (padded == matrix.columns()) {
      return graph.node("Reshape", output, List.of(scaled, flat));
    }
    String flatPadded = graph.longs(output + ".flat_padded", -1, padded);
    String rows = graph.node("Reshape", output + ".rows", List.of(scaled, flatPadded));
    return graph.node(
        "Slice",
        output,
        List.of(
            rows,
            graph.longs(output + ".from", 0),
            graph.longs(output + ".to", matrix.columns()),
            graph.longs(output + ".axis", 1)));
  }

  private Optional<QuantisedMatrix> require(String name) {
    if (!weights.contains(name)) {
      throw new ModelException("tensor: " + name + " is missing (expected by the configuration)");
    }
    return weights.quantised(name);
  }

  /** The operator takes blocks of powers of two from 16; others are turned into float32. */
  private static boolean graphCanHold(QuantisedMatrix matrix) {
    return matrix.blockSize() >= SMALLEST_BLOCK
        && matrix.blockSize() <= 256
        && Integer.bitCount(matrix.blockSize()) == 1;
  }

  private void writeNumbers(
      TensorSink sink, int type, List<String> names, int[] rows, int columns) {
    for (int i = 0; i < rows.length; i++) {
      String name = names.get(i);
      require(name);
      long elements = infos.get(name).elements();
      if (elements != (long) rows[i] * columns) {
        throw new ModelException(
            "%s: %d elements (expected: %d x %d)".formatted(name, elements, rows[i], columns));
      }
      DType stored = infos.get(name).dtype();
      boolean asIs =
          stored != DType.I8
              && GraphBuilder.typeOf(stored) == type
              && weights.stored(name, stored, (bytes, length) -> sink.bytes(bytes, 0, length));
      if (!asIs) {
        float[] values = weights.floats(name);
        if (type == FLOAT16) {
          checkRange(name, values);
        }
        sink.floats(values);
      }
    }
  }

  /** Rounded to infinity, one weight turns every answer into NaN. */
  private static void checkRange(String name, float[] values) {
    for (int i = 0; i < values.length; i++) {
      if (Math.abs(values[i]) > Halves.MAX_FLOAT16) {
        throw new ModelException(
            "%s: %s at %d (expected: at most 65504 in magnitude for f16; bf16 holds it)"
                .formatted(name, values[i], i));
      }
    }
  }

  private static void writeBytes(TensorSink sink, QuantisedMatrix matrix) {
    int padded = matrix.blocks() * matrix.blockSize();
    byte[] row = new byte[padded];
    for (int r = 0; r < matrix.rows(); r++) {
      for (int c = 0; c < padded; c++) {
        int value = c < matrix.columns() ? matrix.values()[r * matrix.columns() + c] : 0;
        row[c] = (byte) (value + ZERO_POINT);
      }
      sink.bytes(row, 0, padded);
    }
  }

  private static void checkShape(
      String name, int rows, int columns, int expectedRows, int expectedColumns) {
    if (rows != expectedRows || columns != expectedColumns) {
      throw new ModelException(
          "%s: shape [%d, %d] (expected: [%d, %d])"
              .formatted(name, rows, columns, expectedRows, expectedColumns));
    }
  }
}
