package io.reflux.trainer.watch;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Reads event files as their specifications have them, and shares nothing with what writes them:
 * the checksum is computed bit by bit, messages are taken apart by protobuf's own parser.
 */
final class EventRecords {
  private EventRecords() {}

  record Event(
      double wallTime,
      long step,
      String fileVersion,
      boolean isStart,
      Map<String, Float> scalars,
      Map<String, String> descriptions) {}

  static List<Event> read(Path file) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    List<Event> events = new ArrayList<>();
    while (in.hasRemaining()) {
      byte[] lengthBytes = new byte[8];
      in.duplicate().get(lengthBytes);
      long length = in.getLong();
      requireSum(lengthBytes, in.getInt());
      byte[] data = new byte[Math.toIntExact(length)];
      in.get(data);
      requireSum(data, in.getInt());
      events.add(event(UnknownFieldSet.parseFrom(data)));
    }
    return events;
  }

  /** The scalars of a tag as TensorBoard shows them, by step. */
  static Map<Long, Float> asShown(List<Event> events, String tag) {
    TreeMap<Long, Float> shown = new TreeMap<>();
    for (Event event : events) {
      if (event.isStart()) {
        shown.tailMap(event.step(), true).clear();
      }
      if (event.scalars().containsKey(tag)) {
        shown.put(event.step(), event.scalars().get(tag));
      }
    }
    return shown;
  }

  private static Event event(UnknownFieldSet event) throws IOException {
    Map<String, Float> scalars = new LinkedHashMap<>();
    Map<String, String> descriptions = new LinkedHashMap<>();
    for (ByteString summary : event.getField(5).getLengthDelimitedList()) {
      for (ByteString bytes :
          UnknownFieldSet.parseFrom(summary).getField(1).getLengthDelimitedList()) {
        UnknownFieldSet value = UnknownFieldSet.parseFrom(bytes);
        String tag = value.getField(1).getLengthDelimitedList().get(0).toStringUtf8();
        scalars.put(tag, Float.intBitsToFloat(value.getField(2).getFixed32List().get(0)));
        for (ByteString metadata : value.getField(9).getLengthDelimitedList()) {
          descriptions.put(
              tag,
              UnknownFieldSet.parseFrom(metadata)
                  .getField(3)
                  .getLengthDelimitedList()
                  .get(0)
                  .toStringUtf8());
        }
      }
    }
    boolean start = false;
    for (ByteString session : event.getField(7).getLengthDelimitedList()) {
      start = UnknownFieldSet.parseFrom(session).getField(1).getVarintList().get(0) == 1;
    }
    List<ByteString> version = event.getField(3).getLengthDelimitedList();
    return new Event(
        Double.longBitsToDouble(event.getField(1).getFixed64List().get(0)),
        event.getField(2).getVarintList().get(0),
        version.isEmpty() ? "" : version.get(0).toStringUtf8(),
        start,
        scalars,
        descriptions);
  }

  private static void requireSum(byte[] data, int masked) {
    int crc = 0xFFFFFFFF;
    for (byte b : data) {
      crc ^= b & 0xFF;
      for (int bit = 0; bit < 8; bit++) {
        crc = (crc & 1) == 1 ? crc >>> 1 ^ 0x82F63B78 : crc >>> 1;
      }
    }
    crc = ~crc;
    int expected = (crc >>> 15 | crc << 17) + 0xa282ead8;
    if (masked != expected) {
      throw new AssertionError("checksum: %08x (expected: %08x)".formatted(masked, expected));
    }
  }
}
