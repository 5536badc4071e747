package io.reflux.model.chat;

import io.reflux.model.ModelException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Python's view of the values in a template. They are null (None), Boolean, Long, Double, String,
 * List, Map, {@link Undefined}, {@link Namespace} and {@link Callable}; nothing else can get in, so
 * a template has no way to Java's objects.
 */
final class Values {
  /** No template needs more; one that doubles a text in a loop would never end. */
  static final int MAX_CHARACTERS = 16 << 20;

  private Values() {}

  /** A name or key that has no value. */
  record Undefined(String name) {}

  /** What {@code namespace()} makes: attributes that inner scopes may set. */
  static final class Namespace {
    final Map<String, Object> attributes = new LinkedHashMap<>();
  }

  /** A function, macro or method. */
  @FunctionalInterface
  interface Callable {
    Object call(Arguments arguments);
  }

  /** Evaluated arguments of a call. */
  record Arguments(List<Object> positional, Map<String, Object> named) {
    static final Arguments NONE = new Arguments(List.of(), Map.of());

    /** An argument by place or name; Undefined when it was not given. */
    Object get(int index, String name) {
      if (index < positional.size()) {
        return positional.get(index);
      }
      return named.containsKey(name) ? named.get(name) : new Undefined(name);
    }

    Object get(int index, String name, Object otherwise) {
      Object value = get(index, name);
      return value instanceof Undefined ? otherwise : value;
    }
  }

  static ModelException error(String message) {
    return new ModelException("chat template: " + message);
  }

  static ModelException error(int line, String message) {
    return new ModelException("chat template: line " + line + ": " + message);
  }

  static boolean truthy(Object value) {
    if (value == null || value instanceof Undefined) {
      return false;
    }
    if (value instanceof Boolean bool) {
      return bool;
    }
    if (value instanceof Number number) {
      return number.doubleValue() != 0;
    }
    if (value instanceof String text) {
      return !text.isEmpty();
    }
    if (value instanceof List<?> list) {
      return !list.isEmpty();
    }
    return !(value instanceof Map<?, ?> map) || !map.isEmpty();
  }

  static boolean equal(Object left, Object right) {
    if (isNumeric(left) && isNumeric(right)) {
      return compareNumbers(left, right) == 0;
    }
    if (left instanceof Undefined && right instanceof Undefined) {
      return true;
    }
    if (left instanceof List<?> a && right instanceof List<?> b) {
      if (a.size() != b.size()) {
        return false;
      }
      for (int i = 0; i < a.size(); i++) {
        if (!equal(a.get(i), b.get(i))) {
          return false;
        }
      }
      return true;
    }
    return left == null ? right == null : left.equals(right);
  }

  static int compare(Object left, Object right) {
    if (isNumeric(left) && isNumeric(right)) {
      return compareNumbers(left, right);
    }
    if (left instanceof String a && right instanceof String b) {
      return compareCodePoints(a, b);
    }
    if (left instanceof List<?> a && right instanceof List<?> b) {
      for (int i = 0; i < Math.min(a.size(), b.size()); i++) {
        int order = compare(a.get(i), b.get(i));
        if (order != 0) {
          return order;
        }
      }
      return Integer.compare(a.size(), b.size());
    }
    throw error("%s and %s cannot be ordered".formatted(type(left), type(right)));
  }

  /** Booleans are numbers in Python. */
  static boolean isNumeric(Object value) {
    return value instanceof Number || value instanceof Boolean;
  }

  static double toDouble(Object value) {
    if (value instanceof Boolean bool) {
      return bool ? 1 : 0;
    }
    return ((Number) value).doubleValue();
  }

  static long toLong(Object value, String what) {
    if (value instanceof Boolean bool) {
      return bool ? 1 : 0;
    }
    if (value instanceof Long number) {
      return number;
    }
    throw error("%s: %s (expected: a whole number)".formatted(what, type(value)));
  }

  static String toText(Object value, String what) {
    if (value instanceof String text) {
      return text;
    }
    throw error("%s: %s (expected: a string)".formatted(what, type(value)));
  }

  /** What {@code for} goes over: items, keys or characters. */
  static List<Object> items(Object value) {
    if (value instanceof List<?> list) {
      return new ArrayList<>(list);
    }
    if (value instanceof Map<?, ?> map) {
      return new ArrayList<>(map.keySet());
    }
    if (value instanceof String text) {
      List<Object> characters = new ArrayList<>();
      text.codePoints().forEach(c -> characters.add(Character.toString(c)));
      return characters;
    }
    if (value instanceof Undefined) {
      return List.of();
    }
    throw error("%s is not a list".formatted(type(value)));
  }

  static long length(Object value) {
    if (value instanceof String text) {
      return text.codePointCount(0, text.length());
    }
    if (value instanceof Undefined) {
      return 0;
    }
    if (value instanceof List<?> list) {
      return list.size();
    }
    if (value instanceof Map<?, ?> map) {
      return map.size();
    }
    throw error("%s has no length".formatted(type(value)));
  }

  static boolean contains(Object container, Object value) {
    if (container instanceof String text) {
      return text.contains(toText(value, "in"));
    }
    if (container instanceof Map<?, ?> map) {
      return map.containsKey(value);
    }
    return items(container).stream().anyMatch(item -> equal(item, value));
  }

  /** Python's str(). */
  static String str(Object value) {
    if (value instanceof String text) {
      return text;
    }
    return value instanceof Undefined ? "" : repr(value);
  }

  /** Python's repr(). */
  static String repr(Object value) {
    if (value == null) {
      return "None";
    }
    if (value instanceof Boolean bool) {
      return bool ? "True" : "False";
    }
    if (value instanceof Double number) {
      return number(number);
    }
    if (value instanceof String text) {
      return quoted(text);
    }
    StringBuilder out = new StringBuilder();
    if (value instanceof List<?> list) {
      for (Object item : list) {
        out.append(out.isEmpty() ? "" : ", ").append(repr(item));
      }
      return checked("[" + out + "]");
    }
    if (value instanceof Map<?, ?> map) {
      map.forEach(
          (key, item) ->
              out.append(out.isEmpty() ? "" : ", ")
                  .append(repr(key))
                  .append(": ")
                  .append(repr(item)));
      return checked("{" + out + "}");
    }
    if (value instanceof Long) {
      return value.toString();
    }
    return value instanceof Undefined ? "Undefined" : "<" + type(value) + ">";
  }

  /** Shortest digits, in exponents outside 1e-4 to 1e16, always with a point. */
  static String number(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    double magnitude = Math.abs(value);
    BigDecimal digits = new BigDecimal(Double.toString(value)).stripTrailingZeros();
    if (magnitude == 0) {
      return Double.toString(value);
    }
    if (magnitude >= 1e-4 && magnitude < 1e16) {
      String plain = digits.toPlainString();
      return plain.contains(".") ? plain : plain + ".0";
    }
    int exponent = digits.precision() - digits.scale() - 1;
    String mantissa = digits.movePointLeft(exponent).toPlainString();
    return "%se%s%02d".formatted(mantissa, exponent < 0 ? "-" : "+", Math.abs(exponent));
  }

  /** Guards against texts that grow without end. */
  static String checked(String text) {
    if (text.length() > MAX_CHARACTERS) {
      throw error("text over %d characters".formatted(MAX_CHARACTERS));
    }
    return text;
  }

  static String type(Object value) {
    if (value == null) {
      return "None";
    }
    if (value instanceof Undefined undefined) {
      return "'" + shortened(undefined.name()) + "' is undefined, which";
    }
    if (value instanceof Boolean) {
      return "a truth value";
    }
    if (value instanceof Long) {
      return "a whole number";
    }
    if (value instanceof Double) {
      return "a number";
    }
    if (value instanceof String) {
      return "a string";
    }
    if (value instanceof List) {
      return "a list";
    }
    if (value instanceof Map) {
      return "a dict";
    }
    return value instanceof Namespace ? "a namespace" : "a function";
  }

  /** Text of a template in one short line. */
  static String shortened(String text) {
    String line = text.replaceAll("\\p{Cntrl}+", " ");
    return line.length() <= 80 ? line : line.substring(0, 80) + "…";
  }

  private static int compareNumbers(Object left, Object right) {
    if (left instanceof Long a && right instanceof Long b) {
      return a.compareTo(b);
    }
    double a = toDouble(left);
    double b = toDouble(right);
    return a < b ? -1 : a > b ? 1 : 0;
  }

  private static int compareCodePoints(String left, String right) {
    int[] a = left.codePoints().toArray();
    int[] b = right.codePoints().toArray();
    return java.util.Arrays.compare(a, b);
  }

  private static String quoted(String text) {
    char quote = text.contains("'") && !text.contains("\"") ? '"' : '\'';
    StringBuilder out = new StringBuilder().append(quote);
    text.codePoints()
        .forEach(
            c -> {
              switch (c) {
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\\' -> out.append("\\\\");
                default -> {
                  if (c == quote) {
                    out.append('\\').append(quote);
                  } else if (c < 0x20 || c == 0x7f) {
                    out.append("\\x%02x".formatted(c));
                  } else {
                    out.appendCodePoint(c);
                  }
                }
              }
            });
    return checked(out.append(quote).toString());
  }
}
