package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.FLOAT;
import static io.reflux.model.onnx.GraphBuilder.FLOAT16;
import static io.reflux.model.onnx.GraphBuilder.FLOAT8;
import static io.reflux.model.onnx.GraphBuilder.MICROSOFT;
import static io.reflux.model.onnx.GraphBuilder.UINT8;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.Halves;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.WeightFormat;
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
  /** ONNX keeps integers unsigned, and takes these for their zeros. */
  private static final int INT8_ZERO = 128;

  private static final int INT4_ZERO = 8;

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
   * @param scales name of the scales; null when the matrix is of plain numbers
   * @param bits of an integer, when there are scales
   * @param blockSize columns that share a scale
   */
  record Matrix(String name, String scales, int bits, int rows, int columns, int blockSize) {
    int blocks() {
      return (columns + blockSize - 1) / blockSize;
    }
  }

  /**
   * Adds the matrices of a checkpoint, one below the other, as one.
   *
   * @param type FLOAT, FLOAT16 or BFLOAT16: of the elements, or of the scales of integers
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
    boolean alike =
        quantised.stream().mapToInt(QuantisedMatrix::blockSize).distinct().count() == 1
            && quantised.stream().map(QuantisedMatrix::format).distinct().count() == 1;
    if (quantised.size() < rows.length || !alike) {
      graph.tensor(
          name,
          type,
          sink -> writeNumbers(sink, type, tensorNames, rows, columns),
          totalRows,
          columns);
      return new Matrix(name, null, 0, totalRows, columns, 1);
    }
    QuantisedMatrix first = quantised.get(0);
    if (first.format() == WeightFormat.FP8) {
      return floats8(name, type, quantised, totalRows, columns);
    }
    int bits = first.format().dtype().bits();
    Matrix matrix = new Matrix(name, name + ".scales", bits, totalRows, columns, first.blockSize());
    graph.tensor(
        name,
        UINT8,
        sink -> quantised.forEach(one -> writeBytes(sink, one)),
        totalRows,
        matrix.blocks(),
        matrix.blockSize() * bits / Byte.SIZE);
    graph.tensor(
        matrix.scales(),
        type,
        sink -> quantised.forEach(one -> sink.floats(one.scales())),
        totalRows,
        matrix.blocks());
    return matrix;
  }

  /**
   * Adds matrices of 8-bit floats and the node that widens them, which the runtime does once when
   * it loads them: the processor multiplies no such floats.
   */
  private Matrix floats8(
      String name, int type, List<QuantisedMatrix> matrices, int rows, int columns) {
    String narrow =
        graph.tensor(
            name + ".narrow",
            FLOAT8,
            sink -> matrices.forEach(one -> sink.bytes(one.values(), 0, one.values().length)),
            rows,
            columns);
    String scales =
        graph.tensor(
            name + ".scales",
            FLOAT,
            sink -> matrices.forEach(one -> sink.floats(scalesByRow(one))),
            rows);
    String wide =
        graph.node(
            "DequantizeLinear",
            type == FLOAT ? name : name + ".wide",
            List.of(narrow, scales),
            attribute("axis", 0));
    return new Matrix(graph.cast(name, wide, FLOAT, type), null, 0, rows, columns, 1);
  }

  private static float[] scalesByRow(QuantisedMatrix matrix) {
    float[] scales = new float[matrix.rows()];
    for (int row = 0; row < scales.length; row++) {
      scales[row] = matrix.scaleAt(row, 0);
    }
    return scales;
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
        attribute("bits", matrix.bits()),
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
    String last = graph.longs(output + ".last", -1);
    String which = graph.node("Reshape", output + ".which", List.of(ids, last));
    String bytes = graph.node("Gather", output + ".bytes", List.of(matrix.name(), which));
    String integers = matrix.bits() == 8 ? bytes : halves(output, bytes, last, matrix);
    String numbers =
        graph.node("Cast", output + ".numbers", List.of(integers), attribute("to", type));
    int zeroPoint = matrix.bits() == 8 ? INT8_ZERO : INT4_ZERO;
    String zero = graph.scalar(output + ".zero", type, zeroPoint);
    String centred = graph.node("Sub", output + ".centred", List.of(numbers, zero));
    String scales = graph.node("Gather", output + ".scales", List.of(matrix.scales(), which));
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

  /** From [n, blocks, blockSize / 2] pairs to [n, blocks, blockSize] integers. */
  private String halves(String output, String bytes, String last, Matrix matrix) {
    String pairs = graph.node("Unsqueeze", output + ".pairs", List.of(bytes, last));
    String mask = graph.byteScalar(output + ".mask", 0xf);
    String low = graph.node("BitwiseAnd", output + ".low", List.of(pairs, mask));
    String shift = graph.byteScalar(output + ".shift", 4);
    String high =
        graph.node(
            "BitShift", output + ".high", List.of(pairs, shift), attribute("direction", "RIGHT"));
    String both = graph.node("Concat", output + ".both", List.of(low, high), attribute("axis", -1));
    String shape = graph.longs(output + ".halves", -1, matrix.blocks(), matrix.blockSize());
    return graph.node("Reshape", output + ".integers", List.of(both, shape));
  }

  private Optional<QuantisedMatrix> require(String name) {
    if (!weights.contains(name)) {
      throw new ModelException("tensor: " + name + " is missing (expected by the configuration)");
    }
    return weights.quantised(name);
  }

  /** The operator takes blocks of powers of two from 16; others are turned into float32. */
  private static boolean graphCanHold(QuantisedMatrix matrix) {
    return matrix.format() == WeightFormat.FP8
        || (matrix.blockSize() >= SMALLEST_BLOCK
            && matrix.blockSize() <= 256
            && Integer.bitCount(matrix.blockSize()) == 1);
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
          stored.isPlain()
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
    if (matrix.format() == WeightFormat.INT4) {
      sink.bytes(matrix.values(), 0, matrix.values().length);
      return;
    }
    int padded = matrix.blocks() * matrix.blockSize();
    byte[] row = new byte[padded];
    for (int r = 0; r < matrix.rows(); r++) {
      for (int c = 0; c < padded; c++) {
        int value = c < matrix.columns() ? matrix.values()[r * matrix.columns() + c] : 0;
        row[c] = (byte) (value + INT8_ZERO);
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
