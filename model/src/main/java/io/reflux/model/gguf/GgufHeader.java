package io.reflux.model.gguf;

import io.reflux.model.ModelException;
import io.reflux.model.gguf.GgufFile.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The part of a file before its tensors' data. Nothing it says is believed before it is checked:
 * every count is held against the bytes that are left.
 */
final class GgufHeader {
  private static final int MOST_DIMENSIONS = 4;
  private static final int MOST_NAME_BYTES = 1 << 16;
  private static final int MOST_NESTING = 4;
  private static final int MOST_ALIGNMENT = 1 << 20;
  private static final int DEFAULT_ALIGNMENT = 32;
  private static final int LEAST_ENTRY_BYTES = 13;
  private static final int LEAST_TENSOR_BYTES = 24;

  /** Kept as text, that is what a vocabulary of a million long tokens takes. */
  private static final long MOST_HEADER_BYTES = 1L << 30;

  private final Path path;
  private final FileChannel channel;
  private final long size;
  private final ByteBuffer buffer =
      ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN).limit(0);
  private long fetched;

  private final Map<String, Object> metadata = new LinkedHashMap<>();
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private long dataStart;

  private GgufHeader(Path path, FileChannel channel) throws IOException {
    this.path = path;
    this.channel = channel;
    this.size = channel.size();
  }

  static GgufHeader read(Path path, FileChannel channel) throws IOException {
    GgufHeader header = new GgufHeader(path, channel);
    header.parse();
    return header;
  }

  Map<String, Object> metadata() {
    return metadata;
  }

  Map<String, Tensor> tensors() {
    return tensors;
  }

  long dataStart() {
    return dataStart;
  }

  private void parse() throws IOException {
    if (int32("magic") != GgufFile.MAGIC) {
      throw wrong("magic", "none", "GGUF at the beginning");
    }
    int version = int32("version");
    if (version < 2 || version > GgufFile.VERSION) {
      throw wrong("version", version, "2 or " + GgufFile.VERSION + ", little-endian");
    }
    long tensorCount = count("tensors", int64("tensors"), LEAST_TENSOR_BYTES);
    long entryCount = count("metadata", int64("metadata"), LEAST_ENTRY_BYTES);
    for (long i = 0; i < entryCount; i++) {
      String key = string("key", MOST_NAME_BYTES);
      if (metadata.put(key, value(key, type(key), 0)) != null) {
        throw wrong("key", key, "each once");
      }
    }
    for (long i = 0; i < tensorCount; i++) {
      Tensor tensor = tensor();
      if (tensors.put(tensor.name(), tensor) != null) {
        throw wrong("tensor", tensor.name(), "each once");
      }
    }
    long alignment = alignment();
    dataStart = (position() + alignment - 1) / alignment * alignment;
    requirePlaces(alignment);
  }

  private long alignment() {
    Object value = metadata.getOrDefault(GgufMetadata.ALIGNMENT, (long) DEFAULT_ALIGNMENT);
    if (!(value instanceof Long alignment)
        || alignment < 8
        || alignment > MOST_ALIGNMENT
        || alignment % 8 != 0) {
      throw wrong(GgufMetadata.ALIGNMENT, value, "a multiple of 8, at most " + MOST_ALIGNMENT);
    }
    return alignment;
  }

  /** Every tensor lies within the file, and no two of them on the same bytes. */
  private void requirePlaces(long alignment) {
    List<Tensor> placed = new ArrayList<>(tensors.values());
    placed.sort(Comparator.comparingLong(Tensor::offset));
    long end = 0;
    for (Tensor tensor : placed) {
      if (tensor.offset() < end || tensor.offset() % alignment != 0) {
        throw wrong(
            tensor.name() + ": offset",
            tensor.offset(),
            "a multiple of %d from %d on".formatted(alignment, end));
      }
      if (tensor.bytes() > size - dataStart
          || tensor.offset() > size - dataStart - tensor.bytes()) {
        throw wrong(
            tensor.name(),
            "bytes %d to %d".formatted(tensor.offset(), tensor.offset() + tensor.bytes()),
            "within the %d bytes of data".formatted(Math.max(0, size - dataStart)));
      }
      end = tensor.offset() + tensor.bytes();
    }
  }

  private Tensor tensor() throws IOException {
    String name = string("tensor's name", MOST_NAME_BYTES);
    int dimensions = int32(name);
    if (dimensions < 1 || dimensions > MOST_DIMENSIONS) {
      throw wrong(name + ": dimensions", dimensions, "1 to " + MOST_DIMENSIONS);
    }
    List<Long> shape = new ArrayList<>();
    // Checked as it grows, so that no product overflows.
    long elements = 1;
    for (int i = 0; i < dimensions; i++) {
      long dimension = int64(name);
      if (dimension < 1 || dimension > Long.MAX_VALUE / 64 / elements) {
        throw wrong(name + ": dimension", dimension, "at least 1, and all that a file can hold");
      }
      elements *= dimension;
      shape.add(0, dimension);
    }
    int number = int32(name);
    GgufType type = null;
    for (GgufType one : GgufType.values()) {
      type = one.id() == number ? one : type;
    }
    if (type == null) {
      throw wrong(name + ": type", number, "0 (F32), 1 (F16), 2 (Q4_0) or 8 (Q8_0)");
    }
    if (shape.get(shape.size() - 1) % type.blockElements() != 0) {
      throw wrong(name + ": shape", shape, "rows of a multiple of " + type.blockElements());
    }
    return new Tensor(name, type, shape, int64(name));
  }

  private ValueType type(String key) throws IOException {
    int number = int32(key);
    ValueType type = ValueType.numbered(number);
    if (type == null) {
      throw wrong(key + ": type", number, "0 to 12");
    }
    return type;
  }

  private Object value(String key, ValueType type, int nesting) throws IOException {
    return switch (type) {
      case UINT8 -> need(1, key).get() & 0xffL;
      case INT8 -> (long) need(1, key).get();
      case UINT16 -> need(2, key).getShort() & 0xffffL;
      case INT16 -> (long) need(2, key).getShort();
      case UINT32 -> Integer.toUnsignedLong(int32(key));
      case INT32 -> (long) int32(key);
      case UINT64, INT64 -> int64(key);
      case FLOAT32 -> (double) need(4, key).getFloat();
      case FLOAT64 -> need(8, key).getDouble();
      case BOOL -> bool(key);
      case STRING -> string(key, size);
      case ARRAY -> array(key, nesting);
    };
  }

  private boolean bool(String key) throws IOException {
    byte value = need(1, key).get();
    if (value != 0 && value != 1) {
      throw wrong(key, value, "0 or 1");
    }
    return value == 1;
  }

  private List<Object> array(String key, int nesting) throws IOException {
    if (nesting == MOST_NESTING) {
      throw wrong(key, "deeper lists", "at most " + MOST_NESTING + " in each other");
    }
    ValueType type = type(key);
    long count = count(key, int64(key), type.leastBytes());
    List<Object> values = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      values.add(value(key, type, nesting + 1));
    }
    return Collections.unmodifiableList(values);
  }

  private long count(String what, long count, int leastBytes) {
    long left = size - position();
    if (count < 0 || count > left / leastBytes || count > Integer.MAX_VALUE - 8) {
      throw wrong(
          what,
          Long.toUnsignedString(count),
          "at most what the %d bytes left hold".formatted(left));
    }
    return count;
  }

  private String string(String what, long most) throws IOException {
    long length = count(what, int64(what), 1);
    if (length > most) {
      throw wrong(what, length + " bytes", "at most " + most);
    }
    byte[] bytes = new byte[(int) length];
    for (int filled = 0; filled < bytes.length; ) {
      ByteBuffer some = need(1, what);
      int count = Math.min(some.remaining(), bytes.length - filled);
      some.get(bytes, filled, count);
      filled += count;
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private int int32(String what) throws IOException {
    return need(Integer.BYTES, what).getInt();
  }

  private long int64(String what) throws IOException {
    return need(Long.BYTES, what).getLong();
  }

  private long position() {
    return fetched - buffer.remaining();
  }

  /** The buffer with at least so many bytes in it. */
  private ByteBuffer need(int bytes, String what) throws IOException {
    if (buffer.remaining() < bytes) {
      buffer.compact();
      int count = 0;
      while (buffer.position() < bytes && count >= 0) {
        count = channel.read(buffer);
        fetched += Math.max(0, count);
      }
      buffer.flip();
      if (buffer.remaining() < bytes) {
        throw wrong(what, "cut off at byte " + size, "a whole file");
      }
      if (fetched > MOST_HEADER_BYTES + buffer.capacity()) {
        throw wrong("header", "more than %d bytes".formatted(MOST_HEADER_BYTES), "fewer");
      }
    }
    return buffer;
  }

  private ModelException wrong(String what, Object value, String expected) {
    return new ModelException(
        "%s: %s: %s (expected: %s)"
            .formatted(path, printable(what), printable(String.valueOf(value)), expected));
  }

  /** A name of a hostile file may be long or hold line breaks. */
  private static String printable(String text) {
    String line = text.replaceAll("\\p{Cntrl}+", " ");
    return line.length() <= 80 ? line : line.substring(0, 80) + "…";
  }
}
