package io.reflux.trainer.nn;

import ai.djl.Device;

/**
 * How many rows of logits exist at a time.
 *
 * @param rows of a chunk: many enough that the gradient of the head's weights, which every chunk
 *     adds to as a whole, does not rule the time
 * @param blockRows of a chunk that go through the elementwise passes together
 */
record ChunkSize(int rows, int blockRows) {
  /** 32 MiB of float32: 262 rows of 32,000 ids. */
  private static final int PROCESSOR_ELEMENTS = 8 << 20;

  /** 512 KiB, and as much again for a copy: a core's second-level cache. */
  private static final int PROCESSOR_BLOCK_ELEMENTS = 128 << 10;

  /** 256 MiB: large products are what a GPU is fast at, and it has no use for blocks. */
  private static final int GPU_ELEMENTS = 64 << 20;

  static ChunkSize of(Device device, int vocabularySize) {
    if (device.isGpu()) {
      int rows = Math.max(1, GPU_ELEMENTS / vocabularySize);
      return new ChunkSize(rows, rows);
    }
    return new ChunkSize(
        Math.max(1, PROCESSOR_ELEMENTS / vocabularySize),
        Math.max(1, PROCESSOR_BLOCK_ELEMENTS / vocabularySize));
  }
}
