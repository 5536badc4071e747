package io.reflux.snapshots;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.avro.JsonProperties;
import org.apache.avro.Schema;
import org.apache.avro.Schema.Field;
import org.apache.avro.generic.IndexedRecord;

/**
 * What is signed of a record: its fields by name, in bytes that any build makes alike.
 *
 * <p>The form begins with {@code reflux-signed-1}, a zero byte, and the record's simple name as a
 * string. Then the record. Every value is a tag byte and its content, integers big-endian:
 *
 * <ul>
 *   <li>null: {@code n}
 *   <li>boolean: {@code b}, a byte 0 or 1
 *   <li>int, long, timestamp in milliseconds: {@code i}, 8 bytes
 *   <li>float, double: {@code d}, 8 bytes of IEEE 754, as they are
 *   <li>string, symbol: {@code s}, 4 bytes of length, UTF-8
 *   <li>bytes: {@code x}, 4 bytes of length, the bytes
 *   <li>array: {@code a}, 4 bytes of count, the items
 *   <li>map: {@code m}, 4 bytes of count, key (as a string) and value by key
 *   <li>record: {@code r}, 4 bytes of count, name (as a string) and value by name
 * </ul>
 *
 * <p>Names and keys are in the order of their UTF-8 bytes. A field that has its schema's default is
 * left out, and so is {@code signature} of the outermost record. So a field that is added with a
 * default changes no form that exists, and old signatures hold; in return, a default that was ever
 * released must not change. No value's bytes begin with another's, so two records have one form
 * only if they are equal.
 */
final class CanonicalForm {
  private static final String MAGIC = "reflux-signed-1\0";
  private static final String SIGNATURE = "signature";

  private final ByteArrayOutputStream out = new ByteArrayOutputStream(4096);

  private CanonicalForm() {}

  /** The bytes of a record, without its own signature. */
  static byte[] of(IndexedRecord record) {
    CanonicalForm form = new CanonicalForm();
    form.out.writeBytes(MAGIC.getBytes(StandardCharsets.UTF_8));
    form.string(record.getSchema().getName());
    form.record(record, SIGNATURE);
    return form.out.toByteArray();
  }

  private static byte[] ofValue(Object value) {
    CanonicalForm form = new CanonicalForm();
    form.value(value);
    return form.out.toByteArray();
  }

  /** A name and the bytes of its value. */
  private record Entry(byte[] name, byte[] value) {
    static Entry of(String name, byte[] value) {
      return new Entry(name.getBytes(StandardCharsets.UTF_8), value);
    }
  }

  private void record(IndexedRecord record, String leftOut) {
    List<Entry> entries = new ArrayList<>();
    for (Field field : record.getSchema().getFields()) {
      if (field.name().equals(leftOut)) {
        continue;
      }
      byte[] value = ofValue(record.get(field.pos()));
      if (!field.hasDefaultValue() || !Arrays.equals(value, defaultOf(field))) {
        entries.add(Entry.of(field.name(), value));
      }
    }
    named('r', entries);
  }

  /**
   * Avro gives it as JSON has it; a field whose default is a record has no place in our schemas.
   */
  private static byte[] defaultOf(Field field) {
    if (field.schema().getType() == Schema.Type.RECORD) {
      throw new IllegalArgumentException(
          field.name() + ": a record (expected: no default for one)");
    }
    Object value = field.defaultVal();
    if (value == JsonProperties.NULL_VALUE) {
      return ofValue(null);
    }
    return ofValue(value instanceof byte[] bytes ? ByteBuffer.wrap(bytes) : value);
  }

  private void value(Object value) {
    if (value == null) {
      out.write('n');
    } else if (value instanceof Boolean bool) {
      out.write('b');
      out.write(bool ? 1 : 0);
    } else if (value instanceof Integer || value instanceof Long) {
      number('i', ((Number) value).longValue());
    } else if (value instanceof Instant time) {
      number('i', time.toEpochMilli());
    } else if (value instanceof Float || value instanceof Double) {
      number('d', Double.doubleToRawLongBits(((Number) value).doubleValue()));
    } else if (value instanceof CharSequence || value instanceof Enum) {
      string(value.toString());
    } else if (value instanceof ByteBuffer buffer) {
      byte[] content = new byte[buffer.remaining()];
      buffer.duplicate().get(content);
      bytes('x', content);
    } else if (value instanceof Collection<?> items) {
      counted('a', items.size());
      items.forEach(this::value);
    } else if (value instanceof Map<?, ?> map) {
      List<Entry> entries = new ArrayList<>();
      map.forEach((key, held) -> entries.add(Entry.of(key.toString(), ofValue(held))));
      named('m', entries);
    } else if (value instanceof IndexedRecord record) {
      record(record, null);
    } else {
      throw new IllegalArgumentException(
          value.getClass() + " (expected: a type that our schemas have)");
    }
  }

  private void named(char tag, List<Entry> entries) {
    entries.sort((a, b) -> Arrays.compareUnsigned(a.name(), b.name()));
    counted(tag, entries.size());
    for (Entry entry : entries) {
      bytes('s', entry.name());
      out.writeBytes(entry.value());
    }
  }

  private void string(String text) {
    bytes('s', text.getBytes(StandardCharsets.UTF_8));
  }

  private void bytes(char tag, byte[] content) {
    counted(tag, content.length);
    out.writeBytes(content);
  }

  private void counted(char tag, int count) {
    out.write(tag);
    out.writeBytes(ByteBuffer.allocate(Integer.BYTES).putInt(count).array());
  }

  private void number(char tag, long bits) {
    out.write(tag);
    out.writeBytes(ByteBuffer.allocate(Long.BYTES).putLong(bits).array());
  }
}
