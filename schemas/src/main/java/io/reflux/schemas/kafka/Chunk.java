package io.reflux.schemas.kafka;

import java.nio.ByteBuffer;
import java.util.UUID;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeader;

/**
 * The header of one piece of a record that was larger than its topic takes. Pieces of a group are
 * consecutive cuts of the value and go to one partition in the order of their index.
 *
 * <p>Bytes, big-endian: version 1 (1), group (16), index (4), count (4), total bytes (8), CRC-32C
 * of the whole value (4).
 *
 * @param group random, the same for all pieces of a record
 * @param index from 0
 * @param totalBytes length of the whole value
 */
record Chunk(UUID group, int index, int count, long totalBytes, int crc32c) {
  static final String HEADER = "reflux-chunk";

  private static final byte VERSION = 1;
  private static final int BYTES = 37;

  Header header() {
    ByteBuffer buffer =
        ByteBuffer.allocate(BYTES)
            .put(VERSION)
            .putLong(group.getMostSignificantBits())
            .putLong(group.getLeastSignificantBits())
            .putInt(index)
            .putInt(count)
            .putLong(totalBytes)
            .putInt(crc32c);
    return new RecordHeader(HEADER, buffer.array());
  }

  static boolean isOn(Headers headers) {
    return headers.lastHeader(HEADER) != null;
  }

  /** The header as read, or null when it is damaged. */
  static Chunk read(Headers headers) {
    byte[] bytes = headers.lastHeader(HEADER).value();
    if (bytes == null || bytes.length != BYTES || bytes[0] != VERSION) {
      return null;
    }
    ByteBuffer buffer = ByteBuffer.wrap(bytes, 1, BYTES - 1);
    Chunk chunk =
        new Chunk(
            new UUID(buffer.getLong(), buffer.getLong()),
            buffer.getInt(),
            buffer.getInt(),
            buffer.getLong(),
            buffer.getInt());
    boolean sound =
        chunk.count > 0
            && chunk.index >= 0
            && chunk.index < chunk.count
            && chunk.totalBytes >= chunk.count;
    return sound ? chunk : null;
  }
}
