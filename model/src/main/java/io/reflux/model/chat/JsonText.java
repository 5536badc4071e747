package io.reflux.model.chat;

import io.reflux.model.chat.Values.Arguments;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/** {@code tojson} as transformers has it: Python's json.dumps, other scripts left unescaped. */
final class JsonText {
  private static final int MAX_DEPTH = 100;

  private final StringBuilder out = new StringBuilder();
  private final String indent;
  private final String itemSeparator;
  private final String keySeparator;
  private final boolean ascii;
  private final boolean sorted;

  private JsonText(Arguments arguments) {
    ascii = Values.truthy(arguments.get(0, "ensure_ascii", false));
    Object width = arguments.get(1, "indent", null);
    indent =
        width == null
            ? null
            : width instanceof String own
                ? own
                : " ".repeat((int) Math.max(0, Math.min(200, Values.toLong(width, "indent"))));
    Object separators = arguments.get(2, "separators", null);
    List<Object> both = separators == null ? null : Values.items(separators);
    itemSeparator =
        both == null ? (indent == null ? ", " : ",") : Values.toText(both.get(0), "separators");
    keySeparator = both == null ? ": " : Values.toText(both.get(1), "separators");
    sorted = Values.truthy(arguments.get(3, "sort_keys", false));
  }

  static String of(Object value, Arguments arguments) {
    JsonText json = new JsonText(arguments);
    json.value(value, 0);
    return Values.checked(json.out.toString());
  }

  private void value(Object value, int depth) {
    if (depth > MAX_DEPTH || out.length() > Values.MAX_CHARACTERS) {
      throw Values.error("tojson: value too large");
    }
    if (value == null) {
      out.append("null");
    } else if (value instanceof Boolean || value instanceof Long) {
      out.append(value);
    } else if (value instanceof Double number) {
      out.append(
          Double.isNaN(number)
              ? "NaN"
              : Double.isInfinite(number)
                  ? number > 0 ? "Infinity" : "-Infinity"
                  : Values.number(number));
    } else if (value instanceof String text) {
      string(text);
    } else if (value instanceof List<?> list) {
      items('[', ']', list, depth, item -> value(item, depth + 1));
    } else if (value instanceof Map<?, ?> map) {
      List<Map.Entry<?, ?>> entries = new ArrayList<>(map.entrySet());
      if (sorted) {
        entries.sort(Comparator.comparing(Map.Entry::getKey, Values::compare));
      }
      items(
          '{',
          '}',
          entries,
          depth,
          entry -> {
            string(key(entry.getKey()));
            out.append(keySeparator);
            value(entry.getValue(), depth + 1);
          });
    } else {
      throw Values.error("tojson: %s has no JSON form".formatted(Values.type(value)));
    }
  }

  private static String key(Object key) {
    return key instanceof String text ? text : of(key, Arguments.NONE);
  }

  private <T> void items(
      char open, char close, List<T> items, int depth, java.util.function.Consumer<T> write) {
    out.append(open);
    for (int i = 0; i < items.size(); i++) {
      out.append(i == 0 ? "" : itemSeparator);
      newLine(depth + 1);
      write.accept(items.get(i));
    }
    if (!items.isEmpty()) {
      newLine(depth);
    }
    out.append(close);
  }

  private void newLine(int depth) {
    if (indent != null) {
      out.append('\n').append(indent.repeat(depth));
    }
  }

  private void string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\b' -> out.append("\\b");
        case '\f' -> out.append("\\f");
        default -> {
          if (c < 0x20 || (ascii && c > 0x7e)) {
            out.append("\\u%04x".formatted((int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
