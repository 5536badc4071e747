package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import java.util.Locale;

/** How the keys and values of sequences under way are kept. */
public enum KeyValueFormat {
  /** In the element type that the model is computed in. */
  FULL,
  /**
   * In 8 bits with a fixed scale a channel, a quarter of float32's memory. The scales are found
   * when the engine opens, on sequences that the model itself is likely to write. On the processor
   * alone.
   */
  INT8;

  /**
   * Reads {@code full} or {@code int8}, in any case.
   *
   * @throws ModelException if it is neither
   */
  public static KeyValueFormat parse(String name) {
    for (KeyValueFormat format : values()) {
      if (format.toString().equals(name.strip().toLowerCase(Locale.ROOT))) {
        return format;
      }
    }
    throw new ModelException("key-value format: " + name + " (expected: full or int8)");
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
