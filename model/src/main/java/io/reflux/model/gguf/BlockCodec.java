package io.reflux.model.gguf;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.Halves;
import java.nio.ByteBuffer;

/**
 * Rows of numbers to and from the bytes of a type. The arithmetic is that of llama.cpp's reference
 * quantiser, so that a matrix has the same bytes whoever wrote it.
 */
final class BlockCodec {
  /** Weights that share a scale. */
  static final int BLOCK = 32;

  private static final int LARGEST_8 = 127;
  private static final int ZERO_4 = 8;

  private BlockCodec() {}

  /**
   * Writes one row.
   *
   * @param to little-endian, with room for the row
   * @param count a whole number of the type's blocks
   * @throws ModelException if a number is not finite, or a scale is no float16
   */
  static void write(ByteBuffer to, GgufType type, float[] from, int start, int count) {
    for (int i = start; i < start + count; i += type.blockElements()) {
      switch (type) {
        case F32 -> to.putFloat(from[i]);
        case F16 -> to.putShort(half(from[i]));
        case Q8_0 -> write8(to, from, i);
        case Q4_0 -> write4(to, from, i);
      }
    }
  }

  /** Reads one row. */
  static void read(ByteBuffer from, GgufType type, float[] to, int start, int count) {
    for (int i = start; i < start + count; i += type.blockElements()) {
      switch (type) {
        case F32 -> to[i] = from.getFloat();
        case F16 -> to[i] = Halves.fromFloat16(from.getShort());
        case Q8_0 -> {
          float scale = Halves.fromFloat16(from.getShort());
          for (int j = 0; j < BLOCK; j++) {
            to[i + j] = scale * from.get();
          }
        }
        case Q4_0 -> {
          float scale = Halves.fromFloat16(from.getShort());
          for (int j = 0; j < BLOCK / 2; j++) {
            int pair = from.get();
            to[i + j] = scale * ((pair & 0xf) - ZERO_4);
            to[i + j + BLOCK / 2] = scale * ((pair >>> 4 & 0xf) - ZERO_4);
          }
        }
      }
    }
  }

  /**
   * Writes a block that is quantised already.
   *
   * @param type Q8_0 or Q4_0
   * @param values in [-127, 127] or [-8, 7]
   */
  static void writeBlock(ByteBuffer to, GgufType type, float scale, byte[] values, int start) {
    to.putShort(half(scale));
    if (type == GgufType.Q8_0) {
      to.put(values, start, BLOCK);
      return;
    }
    for (int j = 0; j < BLOCK / 2; j++) {
      int low = values[start + j] + ZERO_4;
      int high = values[start + j + BLOCK / 2] + ZERO_4;
      to.put((byte) (low | high << 4));
    }
  }

  /**
   * Reads a block without scaling it.
   *
   * @param values gets 32 integers
   * @return the scale
   */
  static float readBlock(ByteBuffer from, GgufType type, byte[] values, int start) {
    float scale = Halves.fromFloat16(from.getShort());
    if (type == GgufType.Q8_0) {
      from.get(values, start, BLOCK);
      return scale;
    }
    for (int j = 0; j < BLOCK / 2; j++) {
      int pair = from.get();
      values[start + j] = (byte) ((pair & 0xf) - ZERO_4);
      values[start + j + BLOCK / 2] = (byte) ((pair >>> 4 & 0xf) - ZERO_4);
    }
    return scale;
  }

  private static void write8(ByteBuffer to, float[] from, int start) {
    float largest = 0;
    for (int i = start; i < start + BLOCK; i++) {
      largest = Math.max(largest, Math.abs(from[i]));
    }
    float scale = largest / LARGEST_8;
    float inverse = scale == 0 ? 0 : 1 / scale;
    to.putShort(half(scale));
    for (int i = start; i < start + BLOCK; i++) {
      // Halves away from zero; and the inverse of a denormal is infinite.
      float scaled = Math.max(-LARGEST_8, Math.min(LARGEST_8, from[i] * inverse));
      to.put((byte) (scaled < 0 ? -Math.round(-scaled) : Math.round(scaled)));
    }
  }

  /** The number farthest from zero becomes -8: there are more integers below zero than above. */
  private static void write4(ByteBuffer to, float[] from, int start) {
    float farthest = 0;
    for (int i = start; i < start + BLOCK; i++) {
      if (!Float.isFinite(from[i]) || Math.abs(from[i]) > Math.abs(farthest)) {
        farthest = from[i];
      }
    }
    float scale = farthest / -ZERO_4;
    float inverse = scale == 0 ? 0 : 1 / scale;
    to.putShort(half(scale));
    for (int i = start; i < start + BLOCK / 2; i++) {
      to.put((byte) (nibble(from[i] * inverse) | nibble(from[i + BLOCK / 2] * inverse) << 4));
    }
  }

  private static int nibble(float scaled) {
    return Math.max(0, Math.min(15, (int) (scaled + (ZERO_4 + 0.5f))));
  }

  private static short half(float value) {
    short bits = Halves.toFloat16(value);
    // The exponent of infinities and of what is no number.
    if ((bits & 0x7c00) == 0x7c00) {
      throw new ModelException(
          "%s (expected: finite, at most 65504 in magnitude for float16)".formatted(value));
    }
    return bits;
  }
}
