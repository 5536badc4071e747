package io.reflux.model.gguf;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.ModelText;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/**
 * Writes a model with its tokenizer as GGUF, version 3, for llama.cpp. One tensor at a time is in
 * memory. The same model gives the same bytes.
 *
 * <p>A matrix that is quantised already keeps its integers where the type has as many bits, so that
 * what a better quantiser found is what is written; its scales are rounded to float16. Any other
 * matrix is rounded to nearest. Beside Q4_0, embeddings and head are Q8_0: they are a small part of
 * a model and the one that its words are most sensitive to. Matrices whose rows are no multiple of
 * 32 are stored as F16 in the quantised types, as llama.cpp does it.
 */
public final class GgufWriter {
  /** Bytes at a multiple of which tensors start. */
  static final int ALIGNMENT = 32;

  private static final int BUFFER_BYTES = 1 << 20;

  private final ModelConfig config;
  private final Weights weights;
  private final Map<String, Object> metadata;
  private final List<Part> parts;

  private GgufWriter(
      ModelConfig config, Weights weights, Map<String, Object> metadata, List<Part> parts) {
    this.config = config;
    this.weights = weights;
    this.metadata = metadata;
    this.parts = parts;
  }

  /**
   * Writes a model, whole or not at all: the file is on disk, and only then under its name.
   *
   * @param file replaced if it is there
   * @param type of the matrices
   * @throws ModelException one line, if llama.cpp has no such tokenizer or rotation, or a weight is
   *     not finite
   */
  public static void write(Path file, LanguageModel model, GgufType type) {
    write(file, model.config(), model.weights(), model.text(), type);
  }

  /**
   * Writes weights with a tokenizer.
   *
   * @param text of a directory with tokenizer.json, whose ids the configuration's vocabulary holds
   */
  public static void write(
      Path file, ModelConfig config, Weights weights, ModelText text, GgufType type) {
    GgufVocabulary vocabulary =
        GgufVocabulary.load(text.directory(), text.tokenizer(), config.vocabularySize());
    Map<String, Object> metadata = GgufMetadata.of(config, text, vocabulary, type);
    new GgufWriter(config, weights, metadata, parts(config, type)).write(file);
  }

  /**
   * A tensor of the file.
   *
   * @param mapped null for the rotation's factors
   */
  private record Part(
      GgufTensors.Mapped mapped, String name, List<Long> shape, GgufType type, long offset) {
    long bytes() {
      return type.bytes(shape.stream().reduce(1L, Math::multiplyExact));
    }
  }

  private static List<Part> parts(ModelConfig config, GgufType type) {
    List<Part> parts = new ArrayList<>();
    long offset = 0;
    if (GgufTensors.hasRopeFactors(config)) {
      List<Long> shape = List.of(config.headSize() / 2L);
      parts.add(new Part(null, GgufTensors.ROPE_FACTORS, shape, GgufType.F32, offset));
      offset = aligned(parts.get(0).bytes());
    }
    for (GgufTensors.Mapped mapped : GgufTensors.of(config)) {
      Part part = new Part(mapped, mapped.name(), mapped.shape(), typeOf(mapped, type), offset);
      parts.add(part);
      offset = aligned(offset + part.bytes());
    }
    return parts;
  }

  private static GgufType typeOf(GgufTensors.Mapped mapped, GgufType type) {
    if (mapped.shape().size() < 2) {
      return GgufType.F32;
    }
    boolean ofWords =
        mapped.name().equals(GgufTensors.EMBEDDING) || mapped.name().equals(GgufTensors.HEAD);
    GgufType wanted = ofWords && type == GgufType.Q4_0 ? GgufType.Q8_0 : type;
    return mapped.shape().get(1) % wanted.blockElements() == 0 ? wanted : GgufType.F16;
  }

  private void write(Path file) {
    Path target = file.toAbsolutePath();
    try {
      Files.createDirectories(target.getParent());
      // Not as a temporary file is made, which nobody else may read.
      Path temporary =
          target.resolveSibling(target.getFileName() + "." + UUID.randomUUID() + ".partial");
      try {
        try (FileChannel channel =
            FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
          GgufOutput out = new GgufOutput(channel, BUFFER_BYTES);
          header(out);
          for (Part part : parts) {
            tensor(out, part);
          }
          out.flush();
          channel.force(true);
        }
        Files.move(
            temporary, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(temporary);
      }
      // The new name lasts too; a folder is opened for that on POSIX systems alone.
      if (target.getFileSystem().supportedFileAttributeViews().contains("posix")) {
        try (FileChannel folder = FileChannel.open(target.getParent())) {
          folder.force(true);
        }
      }
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  private void header(GgufOutput out) throws IOException {
    out.magic();
    out.int64(parts.size());
    out.int64(metadata.size());
    for (Map.Entry<String, Object> entry : metadata.entrySet()) {
      out.string(entry.getKey());
      out.typed(entry.getValue());
    }
    for (Part part : parts) {
      out.string(part.name());
      out.int32(part.shape().size());
      // Innermost first.
      for (int i = part.shape().size() - 1; i >= 0; i--) {
        out.int64(part.shape().get(i));
      }
      out.int32(part.type().id());
      out.int64(part.offset());
    }
    out.align(ALIGNMENT);
  }

  private void tensor(GgufOutput out, Part part) throws IOException {
    if (part.mapped() == null) {
      rows(out, part, GgufTensors.ropeFactors(config));
    } else {
      String source = part.mapped().source();
      Optional<QuantisedMatrix> matrix = weights.quantised(source);
      if (matrix.isPresent() && keepsIntegers(matrix.get(), part.type())) {
        blocks(out, part, matrix.get());
      } else {
        float[] floats = matrix.map(QuantisedMatrix::dequantised).orElse(null);
        rows(out, part, floats == null ? weights.floats(source) : floats);
      }
    }
    out.align(ALIGNMENT);
  }

  private static boolean keepsIntegers(QuantisedMatrix matrix, GgufType type) {
    boolean sameIntegers =
        (type == GgufType.Q8_0 && matrix.format() == WeightFormat.INT8)
            || (type == GgufType.Q4_0 && matrix.format() == WeightFormat.INT4);
    return sameIntegers && matrix.blockSize() % BlockCodec.BLOCK == 0;
  }

  private void rows(GgufOutput out, Part part, float[] floats) throws IOException {
    int rows = part.shape().size() < 2 ? 1 : part.shape().get(0).intValue();
    int columns = part.shape().get(part.shape().size() - 1).intValue();
    requireShape(part, floats.length, (long) rows * columns);
    requireFinite(part, floats);
    ByteBuffer row = buffer(part, columns);
    for (int r = 0; r < rows; r++) {
      int source = part.mapped() == null ? r : part.mapped().sourceRow(r);
      row.clear();
      try {
        BlockCodec.write(row, part.type(), floats, source * columns, columns);
      } catch (ModelException e) {
        throw new ModelException(sourceName(part) + ": row " + source + ": " + e.getMessage(), e);
      }
      out.bytes(row.flip());
    }
  }

  private static void blocks(GgufOutput out, Part part, QuantisedMatrix matrix) throws IOException {
    int columns = matrix.columns();
    requireShape(part, (long) matrix.rows() * columns, part.shape().get(0) * part.shape().get(1));
    ByteBuffer row = buffer(part, columns);
    byte[] integers = matrix.integers();
    for (int r = 0; r < matrix.rows(); r++) {
      int source = part.mapped().sourceRow(r);
      row.clear();
      for (int c = 0; c < columns; c += BlockCodec.BLOCK) {
        float scale = matrix.scales()[source * matrix.blocks() + c / matrix.blockSize()];
        BlockCodec.writeBlock(row, part.type(), scale, integers, source * columns + c);
      }
      out.bytes(row.flip());
    }
  }

  private static ByteBuffer buffer(Part part, int columns) {
    return ByteBuffer.allocate(Math.toIntExact(part.type().bytes(columns)))
        .order(ByteOrder.LITTLE_ENDIAN);
  }

  private static void requireShape(Part part, long elements, long expected) {
    if (elements != expected) {
      throw new ModelException(
          "%s: %d elements (expected: shape %s)"
              .formatted(sourceName(part), elements, part.shape()));
    }
  }

  private static void requireFinite(Part part, float[] floats) {
    for (int i = 0; i < floats.length; i++) {
      if (!Float.isFinite(floats[i])) {
        throw new ModelException(
            "%s: %s at element %d (expected: finite weights)"
                .formatted(sourceName(part), floats[i], i));
      }
    }
  }

  private static String sourceName(Part part) {
    return part.mapped() == null ? part.name() : part.mapped().source();
  }

  private static long aligned(long offset) {
    return (offset + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
}
