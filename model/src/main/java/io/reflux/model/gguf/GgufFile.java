package io.reflux.model.gguf;

import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A GGUF file: what it says of its model, and its tensors. The header is read and checked when it
 * is opened, tensors when they are asked for; nothing stays open. Safe for concurrent use.
 */
public final class GgufFile {
  /** "GGUF", read as a little-endian number. */
  static final int MAGIC = 0x46554747;

  static final int VERSION = 3;

  private final Path path;
  private final Map<String, Object> metadata;
  private final Map<String, Tensor> tensors;
  private final long dataStart;

  private GgufFile(
      Path path, Map<String, Object> metadata, Map<String, Tensor> tensors, long dataStart) {
    this.path = path;
    this.metadata = Collections.unmodifiableMap(metadata);
    this.tensors = Collections.unmodifiableMap(tensors);
    this.dataStart = dataStart;
  }

  /**
   * A tensor's description.
   *
   * @param shape outermost dimension first
   * @param offset of its bytes, from where the tensors' data begins
   */
  public record Tensor(String name, GgufType type, List<Long> shape, long offset) {
    public Tensor {
      shape = List.copyOf(shape);
    }

    /** Product of the shape. */
    public long elements() {
      return shape.stream().reduce(1L, Math::multiplyExact);
    }

    /** What it takes in the file. */
    public long bytes() {
      return type.bytes(elements());
    }
  }

  /**
   * Opens a file and checks its header against its size.
   *
   * @throws ModelException naming the file and what is wrong with it; also if a tensor is of a type
   *     that {@link GgufType} has not
   */
  public static GgufFile open(Path path) {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      GgufHeader header = GgufHeader.read(path, channel);
      return new GgufFile(path, header.metadata(), header.tensors(), header.dataStart());
    } catch (NoSuchFileException e) {
      throw new ModelException(path + ": no such file", e);
    } catch (IOException e) {
      throw new ModelException(path + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** Where it is. */
  public Path path() {
    return path;
  }

  /**
   * Values by key, in the file's order: String, Boolean, Long (any whole number), Double (any
   * other), or a list of one of these.
   */
  public Map<String, Object> metadata() {
    return metadata;
  }

  /** The text under a key; empty if there is none. */
  public Optional<String> text(String key) {
    return metadata.get(key) instanceof String text ? Optional.of(text) : Optional.empty();
  }

  /** Descriptions by name, in the file's order. */
  public Map<String, Tensor> tensors() {
    return tensors;
  }

  /**
   * A tensor's elements as float32, rows in the file's order.
   *
   * @throws ModelException if there is no such tensor, or it is too large for an array
   */
  public float[] floats(String name) {
    Tensor tensor = require(name);
    float[] floats = new float[arrayLength(tensor, tensor.elements())];
    int columns = tensor.shape().isEmpty() ? 1 : last(tensor.shape());
    forEachRow(
        tensor,
        columns,
        (row, bytes) -> BlockCodec.read(bytes, tensor.type(), floats, row * columns, columns));
    return floats;
  }

  /**
   * Reads a quantised matrix without scaling it.
   *
   * @param values gets its integers, row-major
   * @param scales gets its scales, row-major
   */
  void blocks(String name, byte[] values, float[] scales) {
    Tensor tensor = require(name);
    int columns = last(tensor.shape());
    forEachRow(
        tensor,
        columns,
        (row, bytes) -> {
          for (int c = 0; c < columns; c += BlockCodec.BLOCK) {
            int at = row * columns + c;
            scales[at / BlockCodec.BLOCK] = BlockCodec.readBlock(bytes, tensor.type(), values, at);
          }
        });
  }

  private interface RowReader {
    void accept(int row, ByteBuffer bytes);
  }

  private void forEachRow(Tensor tensor, int columns, RowReader reader) {
    int rowBytes = arrayLength(tensor, tensor.type().bytes(columns));
    ByteBuffer buffer = ByteBuffer.allocate(rowBytes).order(ByteOrder.LITTLE_ENDIAN);
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      channel.position(dataStart + tensor.offset());
      for (int row = 0; row < tensor.elements() / columns; row++) {
        buffer.clear();
        while (buffer.hasRemaining()) {
          if (channel.read(buffer) < 0) {
            throw new ModelException(path + ": shrank while it was read");
          }
        }
        reader.accept(row, buffer.flip());
      }
    } catch (IOException e) {
      throw new ModelException(path + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private Tensor require(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new ModelException("%s: %s: missing (expected: a tensor)".formatted(path, name));
    }
    return tensor;
  }

  private int arrayLength(Tensor tensor, long count) {
    if (count > Integer.MAX_VALUE - 8) {
      throw new ModelException(
          "%s: %s: %d (expected: fewer than 2^31)".formatted(path, tensor.name(), count));
    }
    return (int) count;
  }

  private static int last(List<Long> shape) {
    return Math.toIntExact(shape.get(shape.size() - 1));
  }
}
