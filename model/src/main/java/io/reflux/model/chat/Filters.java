package io.reflux.model.chat;

import io.reflux.model.chat.Values.Arguments;
import io.reflux.model.chat.Values.Undefined;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What may follow {@code |}. */
final class Filters {
  private Filters() {}

  static Object apply(String name, Object value, Arguments arguments) {
    return switch (name) {
      case "trim" -> Methods.strip(Values.str(value), arguments, true, true);
      case "length", "count" -> Values.length(value);
      case "upper" -> Values.str(value).toUpperCase(Locale.ROOT);
      case "lower" -> Values.str(value).toLowerCase(Locale.ROOT);
      case "title" -> Methods.title(Values.str(value));
      case "capitalize" -> Methods.capitalize(Values.str(value));
      case "replace" -> Methods.replace(Values.str(value), arguments);
      case "string" -> Values.str(value);
      case "safe" -> value;
      case "escape", "e" -> escaped(Values.str(value));
      case "indent" -> indented(Values.str(value), arguments);
      case "default", "d" -> {
        boolean falseToo = Values.truthy(arguments.get(1, "boolean", false));
        boolean missing = value instanceof Undefined || (falseToo && !Values.truthy(value));
        yield missing ? arguments.get(0, "default_value", "") : value;
      }
      case "tojson" -> JsonText.of(value, arguments);
      case "int" -> toInteger(value, arguments);
      case "float" -> toFloat(value, arguments);
      case "abs" ->
          // Boxed apart, or Java would widen the whole number.
          value instanceof Double number
              ? (Object) Math.abs(number)
              : (Object) Math.abs(Values.toLong(value, name));
      case "round" -> round(value, arguments);
      default -> ofList(name, value, arguments);
    };
  }

  private static Object ofList(String name, Object value, Arguments arguments) {
    return switch (name) {
      case "list" -> Values.items(value);
      case "first" -> edge(Values.items(value), true);
      case "last" -> edge(Values.items(value), false);
      case "join" -> join(value, arguments);
      case "reverse" -> reversed(value);
      case "sort" -> sorted(Values.items(value), arguments);
      case "unique" -> unique(Values.items(value));
      case "sum" -> {
        Object sum = arguments.get(1, "start", 0L);
        for (Object item : mapped(Values.items(value), arguments.get(0, "attribute", null))) {
          sum = Operators.binary("+", sum, item);
        }
        yield sum;
      }
      case "min", "max" ->
          Values.items(value).stream()
              .reduce((a, b) -> Values.compare(a, b) <= 0 == name.equals("min") ? a : b)
              .orElse(new Undefined(name));
      case "items" -> value instanceof Undefined ? List.of() : Methods.pairs(map(name, value));
      case "dictsort" -> {
        List<Object> pairs = Methods.pairs(map(name, value));
        pairs.sort(Comparator.comparing(p -> caseless(((List<?>) p).get(0)), Values::compare));
        yield pairs;
      }
      case "map" -> map(Values.items(value), arguments);
      case "select", "reject" -> select(name, Values.items(value), arguments, false);
      case "selectattr", "rejectattr" -> select(name, Values.items(value), arguments, true);
      default -> throw Values.error("filter: %s: no such filter".formatted(Values.shortened(name)));
    };
  }

  private static Map<?, ?> map(String name, Object value) {
    if (value instanceof Map<?, ?> map) {
      return map;
    }
    throw Values.error("%s: %s (expected: a dict)".formatted(name, Values.type(value)));
  }

  private static Object edge(List<Object> items, boolean first) {
    if (items.isEmpty()) {
      return new Undefined(first ? "first item" : "last item");
    }
    return items.get(first ? 0 : items.size() - 1);
  }

  private static String join(Object value, Arguments arguments) {
    String separator = Values.toText(arguments.get(0, "d", ""), "join");
    Object attribute = arguments.get(1, "attribute", null);
    return Methods.join(separator, mapped(Values.items(value), attribute));
  }

  private static Object reversed(Object value) {
    List<Object> items = Values.items(value);
    Collections.reverse(items);
    return value instanceof String ? Methods.join("", items) : items;
  }

  private static List<Object> sorted(List<Object> items, Arguments arguments) {
    boolean reverse = Values.truthy(arguments.get(0, "reverse", false));
    boolean caseSensitive = Values.truthy(arguments.get(1, "case_sensitive", false));
    Object attribute = arguments.get(2, "attribute", null);
    Comparator<Object> order =
        Comparator.comparing(
            item -> {
              Object key = attribute == null ? item : path(item, attribute);
              return caseSensitive ? key : caseless(key);
            },
            Values::compare);
    List<Object> sorted = new ArrayList<>(items);
    sorted.sort(reverse ? order.reversed() : order);
    return sorted;
  }

  private static List<Object> unique(List<Object> items) {
    List<Object> unique = new ArrayList<>();
    for (Object item : items) {
      if (unique.stream().noneMatch(seen -> Values.equal(caseless(seen), caseless(item)))) {
        unique.add(item);
      }
    }
    return unique;
  }

  private static Object caseless(Object value) {
    return value instanceof String text ? text.toLowerCase(Locale.ROOT) : value;
  }

  private static List<Object> map(List<Object> items, Arguments arguments) {
    if (arguments.named().containsKey("attribute")) {
      Object otherwise = arguments.named().getOrDefault("default", new Undefined("attribute"));
      return mapped(items, arguments.named().get("attribute")).stream()
          .map(value -> value instanceof Undefined ? otherwise : value)
          .collect(java.util.stream.Collectors.toCollection(ArrayList::new));
    }
    String filter = Values.toText(arguments.get(0, "filter"), "map");
    Arguments rest = rest(arguments, 1);
    List<Object> mapped = new ArrayList<>();
    for (Object item : items) {
      mapped.add(apply(filter, item, rest));
    }
    return mapped;
  }

  private static List<Object> select(
      String name, List<Object> items, Arguments arguments, boolean byAttribute) {
    int testAt = byAttribute ? 1 : 0;
    Object attribute = byAttribute ? arguments.get(0, "attribute") : null;
    boolean tests = arguments.positional().size() > testAt;
    boolean keep = name.startsWith("select");
    List<Object> kept = new ArrayList<>();
    for (Object item : items) {
      Object value = byAttribute ? path(item, attribute) : item;
      boolean holds =
          tests
              ? Tests.holds(
                  Values.toText(arguments.positional().get(testAt), name),
                  value,
                  rest(arguments, testAt + 1))
              : Values.truthy(value);
      if (holds == keep) {
        kept.add(item);
      }
    }
    return kept;
  }

  private static Arguments rest(Arguments arguments, int from) {
    List<Object> all = arguments.positional();
    return new Arguments(all.subList(Math.min(from, all.size()), all.size()), arguments.named());
  }

  private static List<Object> mapped(List<Object> items, Object attribute) {
    if (attribute == null) {
      return items;
    }
    List<Object> mapped = new ArrayList<>();
    for (Object item : items) {
      mapped.add(path(item, attribute));
    }
    return mapped;
  }

  /** {@code a.b.0} goes from item to item. */
  private static Object path(Object item, Object attribute) {
    if (attribute instanceof Long) {
      return Members.item(item, attribute);
    }
    Object value = item;
    for (String part : Values.toText(attribute, "attribute").split("\\.", -1)) {
      Object key = part.matches("\\d{1,9}") ? (Object) Long.valueOf(part) : part;
      value = Members.item(value, key);
    }
    return value;
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("'", "&#39;")
        .replace("\"", "&#34;");
  }

  private static String indented(String text, Arguments arguments) {
    Object width = arguments.get(0, "width", 4L);
    String indent =
        width instanceof String own
            ? own
            : " ".repeat((int) Math.max(0, Math.min(200, Values.toLong(width, "indent"))));
    boolean first = Values.truthy(arguments.get(1, "first", false));
    boolean blank = Values.truthy(arguments.get(2, "blank", false));
    String[] lines = text.split("\n", -1);
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < lines.length; i++) {
      boolean indents = i == 0 ? first : blank || !lines[i].isEmpty();
      out.append(i == 0 ? "" : "\n").append(indents ? indent : "").append(lines[i]);
    }
    return Values.checked(out.toString());
  }

  private static Object toInteger(Object value, Arguments arguments) {
    Object otherwise = arguments.get(0, "default", 0L);
    if (value instanceof Double number) {
      return number.longValue();
    }
    if (Values.isNumeric(value)) {
      return Values.toLong(value, "int");
    }
    try {
      String text = Values.str(value).strip();
      return text.contains(".") ? (Object) (long) Double.parseDouble(text) : Long.valueOf(text);
    } catch (NumberFormatException e) {
      return otherwise;
    }
  }

  private static Object toFloat(Object value, Arguments arguments) {
    if (Values.isNumeric(value)) {
      return Values.toDouble(value);
    }
    try {
      return Double.valueOf(Values.str(value).strip());
    } catch (NumberFormatException e) {
      return arguments.get(0, "default", 0.0);
    }
  }

  private static Object round(Object value, Arguments arguments) {
    if (!Values.isNumeric(value)) {
      throw Values.error("round: %s (expected: a number)".formatted(Values.type(value)));
    }
    int digits =
        (int)
            Math.max(-15, Math.min(15, Values.toLong(arguments.get(0, "precision", 0L), "round")));
    java.math.RoundingMode mode =
        switch (Values.str(arguments.get(1, "method", "common"))) {
          case "ceil" -> java.math.RoundingMode.CEILING;
          case "floor" -> java.math.RoundingMode.FLOOR;
          default -> java.math.RoundingMode.HALF_EVEN;
        };
    double number = Values.toDouble(value);
    return Double.isFinite(number)
        ? new java.math.BigDecimal(number).setScale(digits, mode).doubleValue()
        : number;
  }
}
