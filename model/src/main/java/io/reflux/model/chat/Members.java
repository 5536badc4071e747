package io.reflux.model.chat;

import io.reflux.model.chat.Values.Namespace;
import io.reflux.model.chat.Values.Undefined;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What {@code a.b}, {@code a[b]} and {@code a[b:c]} mean. */
final class Members {
  private Members() {}

  static Object attribute(Object target, String name) {
    requireDefined(target, name);
    Object method = Methods.find(target, name);
    if (method != null) {
      return method;
    }
    if (target instanceof Namespace namespace) {
      return namespace.attributes.containsKey(name)
          ? namespace.attributes.get(name)
          : new Undefined(name);
    }
    return fromMap(target, name);
  }

  static Object item(Object target, Object key) {
    requireDefined(target, Values.str(key));
    if (key instanceof Long index) {
      if (target instanceof List<?> list) {
        long at = index < 0 ? index + list.size() : index;
        return at >= 0 && at < list.size() ? list.get((int) at) : new Undefined("item " + index);
      }
      if (target instanceof String text) {
        int[] characters = text.codePoints().toArray();
        long at = index < 0 ? index + characters.length : index;
        return at >= 0 && at < characters.length
            ? Character.toString(characters[(int) at])
            : new Undefined("item " + index);
      }
    }
    if (target instanceof Map<?, ?> map && map.containsKey(key)) {
      return map.get(key);
    }
    return key instanceof String name ? attribute(target, name) : fromMap(target, key);
  }

  /** Bounds that are null are left out. */
  static Object slice(Object target, Object start, Object stop, Object step) {
    if (target instanceof String text) {
      int[] characters = text.codePoints().toArray();
      StringBuilder out = new StringBuilder();
      for (int index : indexes(characters.length, start, stop, step)) {
        out.appendCodePoint(characters[index]);
      }
      return out.toString();
    }
    if (target instanceof List<?> list) {
      List<Object> out = new ArrayList<>();
      for (int index : indexes(list.size(), start, stop, step)) {
        out.add(list.get(index));
      }
      return out;
    }
    throw Values.error("%s cannot be sliced".formatted(Values.type(target)));
  }

  private static int[] indexes(int size, Object start, Object stop, Object step) {
    long by = step == null ? 1 : Values.toLong(step, "slice");
    if (by == 0) {
      throw Values.error("slice: step 0");
    }
    long low = by > 0 ? 0 : -1;
    long high = by > 0 ? size : size - 1;
    long from = start == null ? (by > 0 ? low : high) : bound(start, size, low, high);
    long to = stop == null ? (by > 0 ? high : low) : bound(stop, size, low, high);
    List<Integer> indexes = new ArrayList<>();
    for (long at = from; by > 0 ? at < to : at > to; at += by) {
      indexes.add((int) at);
    }
    return indexes.stream().mapToInt(Integer::intValue).toArray();
  }

  private static long bound(Object value, int size, long low, long high) {
    long at = Values.toLong(value, "slice");
    return Math.max(low, Math.min(high, at < 0 ? at + size : at));
  }

  private static Object fromMap(Object target, Object key) {
    return target instanceof Map<?, ?> map && map.containsKey(key)
        ? map.get(key)
        : new Undefined(Values.str(key));
  }

  private static void requireDefined(Object target, String member) {
    if (target instanceof Undefined undefined) {
      throw Values.error(
          "'%s' is undefined (expected: something with %s)"
              .formatted(Values.shortened(undefined.name()), Values.shortened(member)));
    }
  }
}
