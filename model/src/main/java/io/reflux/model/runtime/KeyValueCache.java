package io.reflux.model.runtime;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import java.nio.ByteBuffer;

/** The keys or the values of one layer, [slots, heads, positions, headSize]. */
final class KeyValueCache {
  private final DType type;
  private final int slots;
  private final int heads;
  private final int positions;
  private final int headSize;
  private final ByteBuffer memory;

  /**
   * Allocates.
   *
   * @param from whose it is, and who gives it back
   * @param type F32, F16, BF16 or I8
   * @throws ModelException if so much memory cannot be had
   */
  KeyValueCache(DirectMemory from, DType type, int slots, int heads, int positions, int headSize) {
    this.type = type;
    this.slots = slots;
    this.heads = heads;
    this.positions = positions;
    this.headSize = headSize;
    this.memory = allocate(from, (long) slots * heads * positions * headSize * type.bytes());
  }

  /** A tensor of consecutive slots, for the caller to close; it sees later changes. */
  OnnxTensor view(int firstSlot, int count) throws OrtException {
    int slotElements = heads * positions * headSize;
    int from = firstSlot * slotElements;
    int size = count * slotElements;
    long[] shape = {count, heads, positions, headSize};
    return switch (type) {
      case F32 ->
          OnnxTensor.createTensor(
              OrtSessions.environment(), memory.asFloatBuffer().slice(from, size), shape);
      case F16 -> halves(from, size, shape, OnnxJavaType.FLOAT16);
      case BF16 -> halves(from, size, shape, OnnxJavaType.BFLOAT16);
      case I8 ->
          OnnxTensor.createTensor(
              OrtSessions.environment(), memory.slice(from, size), shape, OnnxJavaType.INT8);
      case I4, F8_E4M3 -> throw new IllegalStateException("key-value cache of " + type);
    };
  }

  /** Copies the first positions of a slot to another. */
  void move(int fromSlot, int toSlot, int count) {
    int stride = positions * headSize * type.bytes();
    for (int head = 0; head < heads; head++) {
      memory.put(
          (toSlot * heads + head) * stride,
          memory,
          (fromSlot * heads + head) * stride,
          count * headSize * type.bytes());
    }
  }

  /** Bytes of one position of one slot. */
  int positionBytes() {
    return heads * headSize * type.bytes();
  }

  /** Appends positions of a slot to the memory given. */
  void save(int slot, int from, int to, ByteBuffer into) {
    int size = (to - from) * headSize * type.bytes();
    for (int head = 0; head < heads; head++) {
      into.put(into.position(), memory, offset(slot, head, from), size);
      into.position(into.position() + size);
    }
  }

  /** Takes what was saved back, from the position of the memory given on. */
  void load(int slot, int from, int to, ByteBuffer saved) {
    int size = (to - from) * headSize * type.bytes();
    for (int head = 0; head < heads; head++) {
      memory.put(offset(slot, head, from), saved, saved.position(), size);
      saved.position(saved.position() + size);
    }
  }

  /** Raises the largest magnitude of each channel, [heads · headSize], of float32 memory. */
  void magnitudes(int slot, int positionsUsed, float[] largest) {
    for (int head = 0; head < heads; head++) {
      for (int position = 0; position < positionsUsed; position++) {
        int at = offset(slot, head, position);
        for (int i = 0; i < headSize; i++) {
          int channel = head * headSize + i;
          float value = Math.abs(memory.getFloat(at + i * Float.BYTES));
          largest[channel] = Math.max(largest[channel], value);
        }
      }
    }
  }

  private int offset(int slot, int head, int position) {
    return ((slot * heads + head) * positions + position) * headSize * type.bytes();
  }

  private OnnxTensor halves(int from, int size, long[] shape, OnnxJavaType element)
      throws OrtException {
    return OnnxTensor.createTensor(
        OrtSessions.environment(), memory.asShortBuffer().slice(from, size), shape, element);
  }

  private ByteBuffer allocate(DirectMemory from, long bytes) {
    String advice =
        "key-value cache: %d slots x %d positions take %d MiB a layer (expected: "
            .formatted(slots, positions, (2 * bytes) >> 20);
    if (bytes > Integer.MAX_VALUE - 64) {
      throw new ModelException(advice + "under 4096; fewer slots or positions)");
    }
    try {
      return from.allocate((int) bytes);
    } catch (OutOfMemoryError e) {
      throw new ModelException(
          advice + "to fit the direct memory, see -XX:MaxDirectMemorySize)", e);
    }
  }
}
