package io.reflux.monitor.drift;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * Where a segment stands between windows.
 *
 * @param judged whether any window of it had requests enough to decide something
 * @param armed whether it may raise
 * @param goodStreak good windows in a row
 * @param badStreak bad windows in a row
 * @param alertId of the alert that is raised now, or empty
 */
record Standing(boolean judged, boolean armed, int goodStreak, int badStreak, String alertId) {
  /** A segment's standing before its first window. */
  static final Standing FIRST = new Standing(false, false, 0, 0, "");

  private static final byte FORMAT = 1;

  static Serde<Standing> serde() {
    return Serdes.serdeFrom(
        (topic, standing) -> standing == null ? null : standing.toBytes(),
        (topic, bytes) -> bytes == null ? null : fromBytes(topic, bytes));
  }

  private byte[] toBytes() {
    byte[] id = alertId.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(10 + id.length)
        .put(FORMAT)
        .put((byte) ((judged ? 1 : 0) | (armed ? 2 : 0)))
        .putInt(goodStreak)
        .putInt(badStreak)
        .put(id)
        .array();
  }

  private static Standing fromBytes(String topic, byte[] bytes) {
    if (bytes.length < 10 || bytes[0] != FORMAT) {
      throw new SerializationException(
          topic + ": standing of " + bytes.length + " bytes (expected: format " + FORMAT + ")");
    }
    ByteBuffer in = ByteBuffer.wrap(bytes, 1, bytes.length - 1);
    byte flags = in.get();
    return new Standing(
        (flags & 1) != 0,
        (flags & 2) != 0,
        in.getInt(),
        in.getInt(),
        new String(bytes, 10, bytes.length - 10, StandardCharsets.UTF_8));
  }
}
