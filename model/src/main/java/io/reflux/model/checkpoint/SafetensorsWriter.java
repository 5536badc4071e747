package io.reflux.model.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.reflux.model.ModelException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * Writes safetensors. The same weights and dtype give the same bytes: tensors lie in the order of
 * their names, and nothing of the time or place is written.
 */
final class SafetensorsWriter {
  private static final int CHUNK_ELEMENTS = 16 * 1024;

  private final Weights weights;
  private final DType dtype;

  private SafetensorsWriter(Weights weights, DType dtype) {
    this.weights = weights;
    this.dtype = dtype;
  }

  /**
   * Writes all tensors.
   *
   * @param dtype of every tensor; I8, I4 and F8_E4M3 keep matrices of few bits as they are and
   *     write the rest as F32
   */
  static void write(Path file, Weights weights, DType dtype) {
    SafetensorsWriter writer = new SafetensorsWriter(weights, dtype);
    List<Part> parts = writer.parts();
    try (OutputStream out = Files.newOutputStream(file)) {
      byte[] header = header(parts);
      out.write(
          ByteBuffer.allocate(Long.BYTES)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putLong(header.length)
              .array());
      out.write(header);
      for (Part part : parts) {
        writer.write(out, part);
      }
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /** The format's name of an element type. */
  static String storedType(DType dtype) {
    // The format has types of whole bytes only.
    return dtype == DType.I4 ? "U8" : dtype.name();
  }

  /**
   * One tensor of the file; a matrix of few bits makes two.
   *
   * @param dtype of the source's elements
   * @param shape of the file's
   */
  private record Part(String name, DType dtype, List<Long> shape, String source) {
    long bytes() {
      long elements = shape.stream().reduce(1L, Math::multiplyExact);
      return elements * (dtype == DType.I4 ? 1 : dtype.bytes());
    }
  }

  private List<Part> parts() {
    List<Part> parts = new ArrayList<>();
    for (TensorInfo tensor : weights.tensors()) {
      String name = tensor.name();
      if (!dtype.isPlain() && !tensor.dtype().isPlain()) {
        QuantisedMatrix matrix = weights.quantised(name).orElseThrow();
        List<Long> values = List.of((long) matrix.rows(), (long) matrix.rowBytes());
        long scaleRows = matrix.scales().length / matrix.blocks();
        List<Long> scales = List.of(scaleRows, (long) matrix.blocks());
        parts.add(new Part(name, tensor.dtype(), values, name));
        parts.add(new Part(name + TensorNames.SCALES_SUFFIX, DType.F32, scales, name));
      } else {
        parts.add(new Part(name, dtype.isPlain() ? dtype : DType.F32, tensor.shape(), name));
      }
    }
    parts.sort(Comparator.comparing(Part::name));
    return parts;
  }

  private static byte[] header(List<Part> parts) throws IOException {
    ByteArrayOutputStream json = new ByteArrayOutputStream();
    try (JsonGenerator generator = new JsonFactory().createGenerator(json)) {
      generator.writeStartObject();
      generator.writeObjectFieldStart("__metadata__");
      // transformers refuses files that do not say this.
      generator.writeStringField("format", "pt");
      generator.writeEndObject();
      long offset = 0;
      for (Part part : parts) {
        generator.writeObjectFieldStart(part.name());
        generator.writeStringField("dtype", storedType(part.dtype()));
        generator.writeArrayFieldStart("shape");
        for (long dimension : part.shape()) {
          generator.writeNumber(dimension);
        }
        generator.writeEndArray();
        generator.writeArrayFieldStart("data_offsets");
        generator.writeNumber(offset);
        offset += part.bytes();
        generator.writeNumber(offset);
        generator.writeEndArray();
        generator.writeEndObject();
      }
      generator.writeEndObject();
    }
    byte[] unpadded = json.toByteArray();
    // Padded with spaces, so that the data starts at a multiple of 8.
    byte[] header = Arrays.copyOf(unpadded, (unpadded.length + 7) / 8 * 8);
    Arrays.fill(header, unpadded.length, header.length, (byte) ' ');
    return header;
  }

  private void write(OutputStream out, Part part) throws IOException {
    switch (part.dtype()) {
      case I8, I4, F8_E4M3 -> out.write(weights.quantised(part.source()).orElseThrow().values());
      case F32, F16, BF16 -> {
        boolean scales = !part.name().equals(part.source());
        writeFloats(
            out,
            scales
                ? weights.quantised(part.source()).orElseThrow().scales()
                : weights.floats(part.source()),
            part.dtype());
      }
    }
  }

  private static void writeFloats(OutputStream out, float[] floats, DType dtype)
      throws IOException {
    ByteBuffer chunk =
        ByteBuffer.allocate(CHUNK_ELEMENTS * dtype.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (int start = 0; start < floats.length; start += CHUNK_ELEMENTS) {
      int count = Math.min(CHUNK_ELEMENTS, floats.length - start);
      chunk.clear();
      for (int i = start; i < start + count; i++) {
        switch (dtype) {
          case F32 -> chunk.putFloat(floats[i]);
          case F16 -> chunk.putShort(Halves.toFloat16(floats[i]));
          case BF16 -> chunk.putShort(Halves.toBfloat16(floats[i]));
          case I8, I4, F8_E4M3 ->
              throw new IllegalArgumentException("floats are not written as " + dtype);
        }
      }
      out.write(chunk.array(), 0, chunk.position());
    }
  }
}
