package io.reflux.model.runtime;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * Memory outside the heap that goes back when its owner is done with it. Left to the collector it
 * stays as long as the old generation has room: models that are renewed often, as the trainer's for
 * rollouts, then occupy up to -XX:MaxDirectMemorySize of what nobody uses. One thread at a time.
 */
final class DirectMemory implements AutoCloseable {
  /**
   * Unsafe.invokeCleaner: until foreign memory can be asked for, the only way to say so. Null on a
   * JVM that no longer has it, where the collector frees as ever.
   */
  private static final MethodHandle FREE = free();

  private final List<ByteBuffer> buffers = new ArrayList<>();

  /**
   * Zeroes in the machine's byte order.
   *
   * @throws OutOfMemoryError if so much direct memory cannot be had
   */
  ByteBuffer allocate(int bytes) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
    buffers.add(buffer);
    return buffer;
  }

  /** Gives one buffer back; it may not be touched any more. */
  void free(ByteBuffer buffer) {
    if (buffers.removeIf(own -> own == buffer)) {
      giveBack(buffer);
    }
  }

  /** Gives all back; none may be touched any more. */
  @Override
  public void close() {
    buffers.forEach(DirectMemory::giveBack);
    buffers.clear();
  }

  private static void giveBack(ByteBuffer buffer) {
    if (FREE == null) {
      return;
    }
    try {
      FREE.invokeExact(buffer);
    } catch (Throwable e) {
      throw new IllegalStateException("direct memory: not given back", e);
    }
  }

  private static MethodHandle free() {
    try {
      Class<?> type = Class.forName("sun.misc.Unsafe");
      Field instance = type.getDeclaredField("theUnsafe");
      instance.setAccessible(true);
      return MethodHandles.lookup()
          .findVirtual(type, "invokeCleaner", MethodType.methodType(void.class, ByteBuffer.class))
          .bindTo(instance.get(null));
    } catch (ReflectiveOperationException e) {
      return null;
    }
  }
}
