package io.reflux.model.onnx;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Tensors one after the other in a file of their own (ONNX external data). */
final class DataFile implements TensorSink, AutoCloseable {
  /** ONNX Runtime maps tensors into memory, and the strictest system wants 64 KiB for that. */
  private static final long ALIGNMENT = 64L << 10;

  private final Path path;
  private final FileChannel channel;
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
  private long position;

  private DataFile(Path path, FileChannel channel) {
    this.path = path;
    this.channel = channel;
    buffer.order(ByteOrder.LITTLE_ENDIAN);
  }

  static DataFile create(Path path) throws IOException {
    return new DataFile(
        path, FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
  }

  Path path() {
    return path;
  }

  long position() {
    return position;
  }

  /** Fills up to where the next tensor may begin, and returns that offset. */
  long align() {
    while (position % ALIGNMENT != 0) {
      ensure(1);
      buffer.put((byte) 0);
      position++;
    }
    return position;
  }

  @Override
  public void floats(float[] values) {
    int done = 0;
    while (done < values.length) {
      ensure(Float.BYTES);
      int count = Math.min(values.length - done, buffer.remaining() / Float.BYTES);
      buffer.asFloatBuffer().put(values, done, count);
      buffer.position(buffer.position() + count * Float.BYTES);
      done += count;
    }
    position += (long) values.length * Float.BYTES;
  }

  @Override
  public void bytes(byte[] values, int offset, int length) {
    int done = 0;
    while (done < length) {
      ensure(1);
      int count = Math.min(length - done, buffer.remaining());
      buffer.put(values, offset + done, count);
      done += count;
    }
    position += length;
  }

  @Override
  public void close() throws IOException {
    if (!channel.isOpen()) {
      return;
    }
    try (channel) {
      drain();
    }
  }

  private void ensure(int byteCount) {
    if (buffer.remaining() < byteCount) {
      try {
        drain();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private void drain() throws IOException {
    buffer.flip();
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
    buffer.clear();
  }
}
