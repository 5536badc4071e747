package io.reflux.trainer.watch;

import com.google.protobuf.CodedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.zip.CRC32C;

/**
 * A file of TensorBoard's events: records of TFRecord framing, each an {@code Event} message
 * (tensorflow/core/util/event.proto). Every start of a trainer writes a file of its own;
 * TensorBoard reads the files of a directory as one run, in the order of their names.
 */
final class EventFile implements Closeable {
  // Field numbers of event.proto and summary.proto.
  private static final int EVENT_WALL_TIME = 1;
  private static final int EVENT_STEP = 2;
  private static final int EVENT_FILE_VERSION = 3;
  private static final int EVENT_SUMMARY = 5;
  private static final int EVENT_SESSION_LOG = 7;
  private static final int SUMMARY_VALUE = 1;
  private static final int VALUE_TAG = 1;
  private static final int VALUE_SIMPLE = 2;
  private static final int VALUE_METADATA = 9;
  private static final int METADATA_DESCRIPTION = 3;
  private static final int SESSION_LOG_STATUS = 1;
  private static final int SESSION_START = 1;

  private static final int MASK_DELTA = 0xa282ead8;

  private final FileChannel channel;
  private final Set<String> described = new HashSet<>();
  private long end;

  private EventFile(FileChannel channel) {
    this.channel = channel;
  }

  /**
   * Begins a file.
   *
   * @param directory of the run
   * @param lastStep what the directory's older files say of later steps is to be forgotten: they
   *     are done again
   */
  static EventFile create(Path directory, Instant now, long lastStep) throws IOException {
    Path file = unused(directory, now);
    EventFile events =
        new EventFile(
            FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
    boolean complete = false;
    try {
      events.write(now, 0, out -> out.writeString(EVENT_FILE_VERSION, "brain.Event:2"));
      byte[] start = message(out -> out.writeEnum(SESSION_LOG_STATUS, SESSION_START));
      events.write(now, lastStep + 1, out -> out.writeByteArray(EVENT_SESSION_LOG, start));
      complete = true;
      return events;
    } finally {
      if (!complete) {
        events.close();
      }
    }
  }

  /**
   * Adds the scalars of a step.
   *
   * @throws IOException if not all of it was written; the next call takes its place
   */
  void scalars(Instant at, long step, Map<String, Double> values, Map<String, String> help)
      throws IOException {
    Set<String> newlyDescribed = new HashSet<>();
    byte[] summary =
        message(
            out -> {
              for (Map.Entry<String, Double> entry : values.entrySet()) {
                String tag = entry.getKey();
                boolean first = !described.contains(tag) && newlyDescribed.add(tag);
                byte[] value = value(tag, entry.getValue(), first ? help.get(tag) : null);
                out.writeByteArray(SUMMARY_VALUE, value);
              }
            });
    write(at, step, out -> out.writeByteArray(EVENT_SUMMARY, summary));
    described.addAll(newlyDescribed);
  }

  @Override
  public void close() throws IOException {
    channel.truncate(end);
    channel.close();
  }

  private static Path unused(Path directory, Instant now) {
    String prefix =
        "events.out.tfevents.%010d.reflux.%d."
            .formatted(now.getEpochSecond(), ProcessHandle.current().pid());
    int number = 0;
    while (Files.exists(directory.resolve(prefix + number))) {
      number++;
    }
    return directory.resolve(prefix + number);
  }

  private static byte[] value(String tag, double value, String description) throws IOException {
    byte[] metadata =
        description == null
            ? null
            : message(out -> out.writeString(METADATA_DESCRIPTION, description));
    return message(
        out -> {
          out.writeString(VALUE_TAG, tag);
          out.writeFloat(VALUE_SIMPLE, (float) value);
          if (metadata != null) {
            out.writeByteArray(VALUE_METADATA, metadata);
          }
        });
  }

  private void write(Instant at, long step, Fields what) throws IOException {
    byte[] event =
        message(
            out -> {
              out.writeDouble(EVENT_WALL_TIME, at.toEpochMilli() / 1e3);
              out.writeInt64(EVENT_STEP, step);
              what.write(out);
            });
    ByteBuffer record = ByteBuffer.allocate(event.length + 16).order(ByteOrder.LITTLE_ENDIAN);
    record.putLong(event.length);
    record.putInt(maskedCrc(record.array(), 8));
    record.put(event);
    record.putInt(maskedCrc(event, event.length));
    record.flip();
    long position = end;
    while (record.hasRemaining()) {
      position += channel.write(record, position);
    }
    end = position;
  }

  private static int maskedCrc(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + MASK_DELTA;
  }

  /** Writes the fields of a message. */
  private interface Fields {
    void write(CodedOutputStream out) throws IOException;
  }

  private static byte[] message(Fields fields) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    CodedOutputStream out = CodedOutputStream.newInstance(bytes);
    fields.write(out);
    out.flush();
    return bytes.toByteArray();
  }
}
