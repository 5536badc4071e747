package io.reflux.scorer;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.ToLongFunction;

/**
 * What is known of token ids, within a bound of bytes; the least recently used is forgotten first.
 * One thread at a time.
 */
final class IdsCache<V> {
  /** Of map entry, key and arrays, in bytes, roughly. */
  private static final int OVERHEAD = 160;

  private final long maxBytes;
  private final ToLongFunction<V> size;
  private final LinkedHashMap<IdsKey, V> entries = new LinkedHashMap<>(16, 0.75f, true);
  private long bytes;

  /**
   * @param maxBytes of keys and values together, overhead included
   * @param size of a value, in bytes
   */
  IdsCache(long maxBytes, ToLongFunction<V> size) {
    this.maxBytes = maxBytes;
    this.size = size;
  }

  /** The value, or null. */
  V get(IdsKey key) {
    return entries.get(key);
  }

  void put(IdsKey key, V value) {
    long cost = cost(key, value);
    if (cost > maxBytes) {
      return;
    }
    V before = entries.put(key, value);
    bytes += cost - (before == null ? 0 : cost(key, before));
    var eldest = entries.entrySet().iterator();
    while (bytes > maxBytes) {
      Map.Entry<IdsKey, V> entry = eldest.next();
      bytes -= cost(entry.getKey(), entry.getValue());
      eldest.remove();
    }
  }

  int size() {
    return entries.size();
  }

  /** Of everything kept, overhead included. */
  long bytes() {
    return bytes;
  }

  private long cost(IdsKey key, V value) {
    return key.bytes() + size.applyAsLong(value) + OVERHEAD;
  }
}
