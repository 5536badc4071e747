package io.reflux.model.checkpoint;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.SafetensorsHeader.Entry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.SortedMap;

/**
 * One safetensors file, memory-mapped. The file must not shrink while it is in use; the mapping
 * goes when the object is collected.
 */
final class SafetensorsFile {
  /** A mapping holds at most 2 GiB, so large files are mapped in pieces. */
  private static final int SEGMENT_BITS = 30;

  private static final int CHUNK_BYTES = 256 * 1024;

  private final Path path;
  private final SortedMap<String, Entry> entries;
  private final MappedByteBuffer[] segments;
  private final long dataStart;

  private SafetensorsFile(
      Path path, SortedMap<String, Entry> entries, MappedByteBuffer[] segments, long dataStart) {
    this.path = path;
    this.entries = entries;
    this.segments = segments;
    this.dataStart = dataStart;
  }

  /**
   * Opens a file and checks its header against its size.
   *
   * @throws ModelException naming the file, if it is missing or malformed
   */
  static SafetensorsFile open(Path path) {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      long size = channel.size();
      long headerBytes = headerBytes(path, channel, size);
      byte[] header = new byte[(int) headerBytes];
      readFully(path, channel, ByteBuffer.wrap(header), Long.BYTES);
      long dataStart = Long.BYTES + headerBytes;
      SortedMap<String, Entry> entries = SafetensorsHeader.parse(path, header, size - dataStart);
      return new SafetensorsFile(path, entries, map(channel, size), dataStart);
    } catch (NoSuchFileException e) {
      throw new ModelException(path + ": no such file", e);
    } catch (IOException e) {
      throw new ModelException(path + ": cannot be read: " + e.getMessage(), e);
    }
  }

  Path path() {
    return path;
  }

  SortedMap<String, Entry> entries() {
    return entries;
  }

  /** Elements of an F32, F16 or BF16 tensor as float32. */
  float[] floats(Entry entry) {
    DType dtype = DType.valueOf(entry.dtype());
    float[] floats = new float[arrayLength(entry, dtype.bytes())];
    int[] filled = {0};
    forEachChunk(
        entry,
        (bytes, length) -> {
          ByteBuffer chunk = ByteBuffer.wrap(bytes, 0, length).order(ByteOrder.LITTLE_ENDIAN);
          int count = length / dtype.bytes();
          int start = filled[0];
          switch (dtype) {
            case F32 -> chunk.asFloatBuffer().get(floats, start, count);
            case F16 -> {
              for (int i = 0; i < count; i++) {
                floats[start + i] = Halves.fromFloat16(chunk.getShort(i * 2));
              }
            }
            case BF16 -> {
              for (int i = 0; i < count; i++) {
                floats[start + i] = Halves.fromBfloat16(chunk.getShort(i * 2));
              }
            }
            case I8, I4, F8_E4M3 ->
                throw new ModelException(
                    "%s: %s: dtype: %s (expected: F32, F16 or BF16)"
                        .formatted(path, entry.name(), dtype));
          }
          filled[0] += count;
        });
    return floats;
  }

  /** Elements of a one-byte tensor. */
  byte[] bytes(Entry entry) {
    byte[] bytes = new byte[arrayLength(entry, 1)];
    copy(dataStart + entry.begin(), bytes, bytes.length);
    return bytes;
  }

  /** Hands the raw bytes of a tensor over in pieces of a multiple of 8 bytes, the last excepted. */
  void forEachChunk(Entry entry, Weights.ByteChunks consumer) {
    byte[] chunk = new byte[(int) Math.min(CHUNK_BYTES, entry.bytes())];
    for (long position = entry.begin(); position < entry.end(); position += chunk.length) {
      int length = (int) Math.min(chunk.length, entry.end() - position);
      copy(dataStart + position, chunk, length);
      consumer.accept(chunk, length);
    }
  }

  private int arrayLength(Entry entry, int elementBytes) {
    long elements = entry.bytes() / elementBytes;
    if (elements > Integer.MAX_VALUE - 8) {
      throw new ModelException(
          "%s: %s: %d elements (expected: fewer than 2^31)"
              .formatted(path, entry.name(), elements));
    }
    return (int) elements;
  }

  /** Elements may straddle two segments; bytes cannot. */
  private void copy(long offset, byte[] target, int length) {
    int copied = 0;
    while (copied < length) {
      long position = offset + copied;
      MappedByteBuffer segment = segments[(int) (position >>> SEGMENT_BITS)];
      int within = (int) (position & (1 << SEGMENT_BITS) - 1);
      int count = Math.min(length - copied, segment.limit() - within);
      segment.get(within, target, copied, count);
      copied += count;
    }
  }

  private static long headerBytes(Path path, FileChannel channel, long size) throws IOException {
    if (size < Long.BYTES + 2) {
      throw new ModelException("%s: %d bytes (expected: a safetensors file)".formatted(path, size));
    }
    ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    readFully(path, channel, length, 0);
    long headerBytes = length.getLong(0);
    long most = Math.min(SafetensorsHeader.MAX_BYTES, size - Long.BYTES);
    if (headerBytes < 2 || headerBytes > most) {
      throw new ModelException(
          "%s: header length: %s (expected: 2 to %d, of a file of %d bytes)"
              .formatted(path, Long.toUnsignedString(headerBytes), most, size));
    }
    return headerBytes;
  }

  private static void readFully(Path path, FileChannel channel, ByteBuffer into, long position)
      throws IOException {
    long next = position;
    while (into.hasRemaining()) {
      int count = channel.read(into, next);
      if (count < 0) {
        throw new ModelException(path + ": shrank while it was read");
      }
      next += count;
    }
  }

  private static MappedByteBuffer[] map(FileChannel channel, long size) throws IOException {
    int count = Math.toIntExact((size + (1L << SEGMENT_BITS) - 1) >>> SEGMENT_BITS);
    MappedByteBuffer[] segments = new MappedByteBuffer[count];
    for (int i = 0; i < count; i++) {
      long start = (long) i << SEGMENT_BITS;
      segments[i] =
          channel.map(MapMode.READ_ONLY, start, Math.min(1L << SEGMENT_BITS, size - start));
    }
    return segments;
  }
}
