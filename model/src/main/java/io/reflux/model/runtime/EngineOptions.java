package io.reflux.model.runtime;

import io.reflux.model.ModelException;

/**
 * What a {@link GenerationEngine} makes room for. Its key-value cache takes {@code slots ·
 * maxPositions · layers · 2 · keyValueHeads · headSize · 4} bytes (headSize rounded up to a
 * multiple of 16) of direct memory.
 *
 * @param slots sequences that are continued at the same time; more wait
 * @param maxPositions tokens of the longest sequence, prompt and continuation together
 */
public record EngineOptions(int slots, int maxPositions) {
  private static final int MOST_SLOTS = 1024;

  public EngineOptions {
    if (slots < 1 || slots > MOST_SLOTS) {
      throw new ModelException("slots: " + slots + " (expected: 1 to " + MOST_SLOTS + ")");
    }
    if (maxPositions < 2) {
      throw new ModelException("max positions: " + maxPositions + " (expected: at least 2)");
    }
  }
}
