package io.reflux.model.chat;

import io.reflux.model.chat.Values.Arguments;
import io.reflux.model.chat.Values.Callable;
import io.reflux.model.chat.Values.Undefined;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What may follow {@code is}. */
final class Tests {
  private Tests() {}

  static boolean holds(String name, Object value, Arguments arguments) {
    Object other = arguments.get(0, "other");
    return switch (name) {
      case "defined" -> !(value instanceof Undefined);
      case "undefined" -> value instanceof Undefined;
      case "none", "None" -> value == null;
      case "string" -> value instanceof String;
      case "mapping" -> value instanceof Map;
      case "sequence", "iterable" ->
          value instanceof String
              || value instanceof List
              || value instanceof Map
              // Jinja goes over what is undefined as over an empty list.
              || value instanceof Undefined;
      case "number" -> Values.isNumeric(value);
      case "integer" -> value instanceof Long;
      case "float" -> value instanceof Double;
      case "boolean" -> value instanceof Boolean;
      case "true", "True" -> Boolean.TRUE.equals(value);
      case "false", "False" -> Boolean.FALSE.equals(value);
      case "callable" -> value instanceof Callable;
      case "odd" -> Math.floorMod(Values.toLong(value, "odd"), 2) == 1;
      case "even" -> Math.floorMod(Values.toLong(value, "even"), 2) == 0;
      case "divisibleby" ->
          Values.truthy(other)
              && Math.floorMod(Values.toLong(value, name), Values.toLong(other, name)) == 0;
      case "eq", "equalto", "==" -> Values.equal(value, other);
      case "ne", "!=" -> !Values.equal(value, other);
      case "lt", "lessthan", "<" -> Values.compare(value, other) < 0;
      case "le", "<=" -> Values.compare(value, other) <= 0;
      case "gt", "greaterthan", ">" -> Values.compare(value, other) > 0;
      case "ge", ">=" -> Values.compare(value, other) >= 0;
      case "in" -> Values.contains(other, value);
      case "sameas" -> value == other || (value instanceof Boolean && value.equals(other));
      case "lower" -> value instanceof String text && text.equals(text.toLowerCase(Locale.ROOT));
      case "upper" -> value instanceof String text && text.equals(text.toUpperCase(Locale.ROOT));
      default -> throw Values.error("is %s: no such test".formatted(Values.shortened(name)));
    };
  }
}
