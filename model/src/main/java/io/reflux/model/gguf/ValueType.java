package io.reflux.model.gguf;

import java.util.List;

/** Types of metadata, in the order of their numbers in a file. */
enum ValueType {
  UINT8(1),
  INT8(1),
  UINT16(2),
  INT16(2),
  UINT32(4),
  INT32(4),
  FLOAT32(4),
  BOOL(1),
  STRING(8),
  ARRAY(12),
  UINT64(8),
  INT64(8),
  FLOAT64(8);

  private static final List<ValueType> ALL = List.of(values());

  private final int leastBytes;

  ValueType(int leastBytes) {
    this.leastBytes = leastBytes;
  }

  /** What the smallest value of the type takes in a file. */
  int leastBytes() {
    return leastBytes;
  }

  /** The type of a number; null if there is none. */
  static ValueType numbered(int number) {
    return number >= 0 && number < ALL.size() ? ALL.get(number) : null;
  }

  /** How a value of ours is written: whole numbers are unsigned. */
  static ValueType of(Object value) {
    if (value instanceof String) {
      return STRING;
    } else if (value instanceof Integer) {
      return UINT32;
    } else if (value instanceof Float) {
      return FLOAT32;
    } else if (value instanceof Boolean) {
      return BOOL;
    }
    return ARRAY;
  }

  /** How the elements of a list of ours are written. */
  static ValueType ofElements(Object list) {
    if (list instanceof GgufMetadata.Integers) {
      return INT32;
    }
    List<?> values = (List<?>) list;
    return values.isEmpty() ? UINT32 : of(values.get(0));
  }
}
