package io.reflux.model.gguf;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Little-endian numbers, texts and typed values, gathered before they are written. */
final class GgufOutput {
  private final WritableByteChannel channel;
  private final ByteBuffer buffer;
  private long written;

  GgufOutput(WritableByteChannel channel, int bufferBytes) {
    this.channel = channel;
    this.buffer = ByteBuffer.allocate(bufferBytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** What a file begins with: its name and version. */
  void magic() throws IOException {
    int32(GgufFile.MAGIC);
    int32(GgufFile.VERSION);
  }

  void int32(int value) throws IOException {
    room(Integer.BYTES).putInt(value);
  }

  void int64(long value) throws IOException {
    room(Long.BYTES).putLong(value);
  }

  void string(String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    int64(bytes.length);
    bytes(ByteBuffer.wrap(bytes));
  }

  /** A value with its type before it; of lists, the type of what they hold and how many. */
  void typed(Object value) throws IOException {
    ValueType type = ValueType.of(value);
    int32(type.ordinal());
    if (type != ValueType.ARRAY) {
      value(type, value);
      return;
    }
    List<?> values = value instanceof GgufMetadata.Integers ints ? ints.values() : (List<?>) value;
    ValueType element = ValueType.ofElements(value);
    int32(element.ordinal());
    int64(values.size());
    for (Object one : values) {
      value(element, one);
    }
  }

  void bytes(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      if (!buffer.hasRemaining()) {
        flush();
      }
      int count = Math.min(buffer.remaining(), bytes.remaining());
      buffer.put(bytes.slice(bytes.position(), count));
      bytes.position(bytes.position() + count);
    }
  }

  /** Zeros up to the next multiple. */
  void align(int alignment) throws IOException {
    while ((written + buffer.position()) % alignment != 0) {
      room(1).put((byte) 0);
    }
  }

  void flush() throws IOException {
    buffer.flip();
    while (buffer.hasRemaining()) {
      written += channel.write(buffer);
    }
    buffer.clear();
  }

  private void value(ValueType type, Object value) throws IOException {
    switch (type) {
      case STRING -> string((String) value);
      case UINT32, INT32 -> int32((Integer) value);
      case FLOAT32 -> room(Float.BYTES).putFloat((Float) value);
      case BOOL -> room(1).put((byte) ((Boolean) value ? 1 : 0));
      default -> throw new IllegalArgumentException("value of type " + type);
    }
  }

  private ByteBuffer room(int bytes) throws IOException {
    if (buffer.remaining() < bytes) {
      flush();
    }
    return buffer;
  }
}
