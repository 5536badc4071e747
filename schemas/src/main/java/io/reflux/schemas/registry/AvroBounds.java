package io.reflux.schemas.registry;

import io.reflux.schemas.registry.DecodeException.Reason;
import org.apache.avro.Schema;

/**
 * Walks Avro binary by its schema before anything is built from it, so that a length or a count
 * that lies is found while it costs nothing: Avro's own reader sizes collections by the count that
 * stands in the bytes.
 */
final class AvroBounds {
  /** Deeper than any record of ours; a recursive schema may ask for any depth. */
  private static final int MAX_DEPTH = 64;

  private final byte[] bytes;
  private int position;

  private AvroBounds(byte[] bytes, int position) {
    this.bytes = bytes;
    this.position = position;
  }

  /** Throws unless {@code bytes} from {@code from} on are one whole datum of the schema. */
  static void check(Schema schema, byte[] bytes, int from) throws DecodeException {
    AvroBounds walk = new AvroBounds(bytes, from);
    walk.datum(schema, 0);
    if (walk.position != bytes.length) {
      throw new DecodeException(
          Reason.TRAILING_BYTES,
          schema.getFullName() + ": " + (bytes.length - walk.position) + " bytes after its end");
    }
  }

  private void datum(Schema schema, int depth) throws DecodeException {
    if (depth > MAX_DEPTH) {
      throw malformed("nesting", depth, "at most " + MAX_DEPTH);
    }
    switch (schema.getType()) {
      case NULL -> {}
      case BOOLEAN -> {
        skip(1);
        byte value = bytes[position - 1];
        if (value != 0 && value != 1) {
          throw malformed("boolean", value, "0 or 1");
        }
      }
      case INT -> {
        long value = varint();
        if (value != (int) value) {
          throw malformed("int", value, "32 bits");
        }
      }
      case LONG -> varint();
      case FLOAT -> skip(4);
      case DOUBLE -> skip(8);
      case FIXED -> skip(schema.getFixedSize());
      case BYTES, STRING -> skip(varint());
      case ENUM -> {
        long symbol = varint();
        if (symbol < 0 || symbol >= schema.getEnumSymbols().size()) {
          throw malformed("enum symbol", symbol, "below " + schema.getEnumSymbols().size());
        }
      }
      case UNION -> {
        long branch = varint();
        if (branch < 0 || branch >= schema.getTypes().size()) {
          throw malformed("union branch", branch, "below " + schema.getTypes().size());
        }
        datum(schema.getTypes().get((int) branch), depth + 1);
      }
      case RECORD -> {
        for (Schema.Field field : schema.getFields()) {
          datum(field.schema(), depth + 1);
        }
      }
      case ARRAY -> blocks(null, schema.getElementType(), depth);
      case MAP -> blocks(Schema.Type.STRING, schema.getValueType(), depth);
    }
  }

  private void blocks(Schema.Type key, Schema element, int depth) throws DecodeException {
    for (long count = varint(); count != 0; count = varint()) {
      if (count < 0) {
        varint(); // the block's size in bytes, for readers that skip
        count = -count;
      }
      // An element of no bytes at all (null, an empty record) costs memory for nothing; our schemas
      // have none, and at most one for each byte left is let through.
      if (count < 0 || count > bytes.length - position) {
        throw truncated(count + " elements");
      }
      for (long i = 0; i < count; i++) {
        if (key != null) {
          skip(varint());
        }
        datum(element, depth + 1);
      }
    }
  }

  private void skip(long length) throws DecodeException {
    if (length < 0) {
      throw malformed("length", length, "0 or more");
    }
    if (length > bytes.length - position) {
      throw truncated(length + " bytes");
    }
    position += (int) length;
  }

  private long varint() throws DecodeException {
    long raw = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (position >= bytes.length) {
        throw truncated("a number");
      }
      byte next = bytes[position++];
      raw |= (long) (next & 0x7f) << shift;
      if (next >= 0) {
        return (raw >>> 1) ^ -(raw & 1);
      }
    }
    throw malformed("number", raw, "at most 10 bytes");
  }

  private DecodeException truncated(String wanted) {
    return new DecodeException(
        Reason.TRUNCATED,
        "value ends early: " + wanted + " at byte " + position + " of " + bytes.length);
  }

  private DecodeException malformed(String what, long value, String expected) {
    return new DecodeException(
        Reason.MALFORMED,
        what + ": " + value + " at byte " + position + " (expected: " + expected + ")");
  }
}
