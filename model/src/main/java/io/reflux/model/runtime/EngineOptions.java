package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import java.util.Objects;

/**
 * What a {@link GenerationEngine} makes room for. Its key-value memory takes {@code slots ·
 * maxPositions · layers · 2 · keyValueHeads · headSize · 4} bytes (headSize rounded up to a
 * multiple of 16; a quarter in int8) of direct memory.
 *
 * @param slots sequences that are continued at the same time; more wait
 * @param maxPositions tokens of the longest sequence, prompt and continuation together
 * @param prefixCacheBytes most memory for the beginnings of prompts that were read before, which a
 *     prompt that begins alike need not read again; 0 for none
 * @param keyValues how keys and values are kept
 */
public record EngineOptions(
    int slots, int maxPositions, long prefixCacheBytes, KeyValueFormat keyValues) {
  private static final int MOST_SLOTS = 1024;

  public EngineOptions {
    if (slots < 1 || slots > MOST_SLOTS) {
      throw new ModelException("slots: " + slots + " (expected: 1 to " + MOST_SLOTS + ")");
    }
    if (maxPositions < 2) {
      throw new ModelException("max positions: " + maxPositions + " (expected: at least 2)");
    }
    if (prefixCacheBytes < 0) {
      throw new ModelException(
          "prefix cache: " + prefixCacheBytes + " bytes (expected: 0 or more)");
    }
    Objects.requireNonNull(keyValues, "keyValues");
  }

  /** Without a prefix cache, keys and values in full. */
  public EngineOptions(int slots, int maxPositions) {
    this(slots, maxPositions, 0, KeyValueFormat.FULL);
  }

  /** With so much memory for the beginnings of prompts. */
  public EngineOptions withPrefixCache(long bytes) {
    return new EngineOptions(slots, maxPositions, bytes, keyValues);
  }

  /** With keys and values kept otherwise. */
  public EngineOptions withKeyValues(KeyValueFormat format) {
    return new EngineOptions(slots, maxPositions, prefixCacheBytes, format);
  }
}
