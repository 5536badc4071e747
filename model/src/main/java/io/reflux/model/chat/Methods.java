package io.reflux.model.chat;

import io.reflux.model.chat.Values.Arguments;
import io.reflux.model.chat.Values.Callable;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiFunction;

/** The methods of Python's strings, dicts and lists that change nothing. */
final class Methods {
  private static final Map<String, BiFunction<String, Arguments, Object>> STRING =
      Map.ofEntries(
          Map.entry("strip", (text, a) -> strip(text, a, true, true)),
          Map.entry("lstrip", (text, a) -> strip(text, a, true, false)),
          Map.entry("rstrip", (text, a) -> strip(text, a, false, true)),
          Map.entry("split", (text, a) -> split(text, a, false)),
          Map.entry("rsplit", (text, a) -> split(text, a, true)),
          Map.entry("splitlines", (text, a) -> lines(text)),
          Map.entry(
              "startswith", (text, a) -> any(a, prefix -> text.startsWith(prefix), "startswith")),
          Map.entry("endswith", (text, a) -> any(a, suffix -> text.endsWith(suffix), "endswith")),
          Map.entry("replace", (text, a) -> replace(text, a)),
          Map.entry("upper", (text, a) -> text.toUpperCase(Locale.ROOT)),
          Map.entry("lower", (text, a) -> text.toLowerCase(Locale.ROOT)),
          Map.entry("title", (text, a) -> title(text)),
          Map.entry("capitalize", (text, a) -> capitalize(text)),
          Map.entry("join", (text, a) -> join(text, Values.items(a.get(0, "iterable")))),
          Map.entry("find", (text, a) -> codePointIndex(text, text.indexOf(string(a, 0, "find")))),
          Map.entry(
              "rfind", (text, a) -> codePointIndex(text, text.lastIndexOf(string(a, 0, "rfind")))),
          Map.entry("count", (text, a) -> count(text, string(a, 0, "count"))),
          Map.entry(
              "removeprefix",
              (text, a) ->
                  text.startsWith(string(a, 0, "removeprefix"))
                      ? text.substring(string(a, 0, "removeprefix").length())
                      : text),
          Map.entry(
              "removesuffix",
              (text, a) ->
                  text.endsWith(string(a, 0, "removesuffix"))
                      ? text.substring(0, text.length() - string(a, 0, "removesuffix").length())
                      : text),
          Map.entry("isdigit", (text, a) -> all(text, Character::isDigit)),
          Map.entry("isalpha", (text, a) -> all(text, Character::isLetter)),
          Map.entry("isalnum", (text, a) -> all(text, Character::isLetterOrDigit)),
          Map.entry("isspace", (text, a) -> all(text, Methods::isSpace)),
          Map.entry(
              "isupper", (text, a) -> cased(text) && text.equals(text.toUpperCase(Locale.ROOT))),
          Map.entry(
              "islower", (text, a) -> cased(text) && text.equals(text.toLowerCase(Locale.ROOT))));

  private Methods() {}

  /** The method bound to its target, or null when there is none. */
  static Callable find(Object target, String name) {
    if (target instanceof String text) {
      BiFunction<String, Arguments, Object> method = STRING.get(name);
      return method == null ? null : arguments -> method.apply(text, arguments);
    }
    if (target instanceof Map<?, ?> map) {
      return switch (name) {
        case "items" -> arguments -> pairs(map);
        case "keys" -> arguments -> new ArrayList<Object>(map.keySet());
        case "values" -> arguments -> new ArrayList<Object>(map.values());
        case "get" ->
            arguments -> {
              Object key = arguments.get(0, "key");
              return map.containsKey(key) ? map.get(key) : arguments.get(1, "default", null);
            };
        default -> null;
      };
    }
    if (target instanceof List<?> list) {
      return switch (name) {
        case "index" -> arguments -> indexOf(list, arguments.get(0, "value"));
        case "count" ->
            arguments ->
                list.stream().filter(i -> Values.equal(i, arguments.get(0, "value"))).count();
        default -> null;
      };
    }
    return null;
  }

  static List<Object> pairs(Map<?, ?> map) {
    List<Object> pairs = new ArrayList<>();
    map.forEach((key, value) -> pairs.add(java.util.Arrays.asList(key, value)));
    return pairs;
  }

  /** Python's white space: Unicode's, and the four separators below the space. */
  static boolean isSpace(int c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85;
  }

  static String strip(String text, Arguments arguments, boolean start, boolean end) {
    Object argument = arguments.get(0, "chars", null);
    int[] drop = argument == null ? null : Values.toText(argument, "strip").codePoints().toArray();
    int[] characters = text.codePoints().toArray();
    int from = 0;
    int to = characters.length;
    while (start && from < to && drops(drop, characters[from])) {
      from++;
    }
    while (end && to > from && drops(drop, characters[to - 1])) {
      to--;
    }
    return new String(characters, from, to - from);
  }

  static String replace(String text, Arguments arguments) {
    String old = string(arguments, 0, "replace");
    String fresh = string(arguments, 1, "replace");
    long most = Values.toLong(arguments.get(2, "count", -1L), "replace");
    StringBuilder out = new StringBuilder();
    int from = 0;
    for (long done = 0; most < 0 || done < most; done++) {
      int at = text.indexOf(old, from);
      if (at < 0 || (old.isEmpty() && at >= text.length())) {
        break;
      }
      out.append(text, from, at).append(fresh);
      from = at + old.length();
      if (old.isEmpty()) {
        out.append(text.charAt(from++));
      }
      if (out.length() > Values.MAX_CHARACTERS) {
        break;
      }
    }
    return Values.checked(out.append(text, from, text.length()).toString());
  }

  static String join(String separator, List<Object> items) {
    StringBuilder out = new StringBuilder();
    boolean first = true;
    for (Object item : items) {
      out.append(first ? "" : separator).append(Values.str(item));
      first = false;
      if (out.length() > Values.MAX_CHARACTERS) {
        break;
      }
    }
    return Values.checked(out.toString());
  }

  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int end = text.offsetByCodePoints(0, 1);
    return text.substring(0, end).toUpperCase(Locale.ROOT)
        + text.substring(end).toLowerCase(Locale.ROOT);
  }

  static String title(String text) {
    StringBuilder out = new StringBuilder();
    boolean inWord = false;
    for (int c : text.codePoints().toArray()) {
      boolean letter = Character.isLetter(c);
      out.appendCodePoint(
          letter ? inWord ? Character.toLowerCase(c) : Character.toTitleCase(c) : c);
      inWord = letter;
    }
    return out.toString();
  }

  private static boolean drops(int[] drop, int c) {
    if (drop == null) {
      return isSpace(c);
    }
    for (int candidate : drop) {
      if (candidate == c) {
        return true;
      }
    }
    return false;
  }

  private static List<Object> split(String text, Arguments arguments, boolean fromRight) {
    Object separator = arguments.get(0, "sep", null);
    long most = Values.toLong(arguments.get(1, "maxsplit", -1L), "split");
    long limit = most < 0 ? Long.MAX_VALUE : most;
    List<Object> parts = new ArrayList<>();
    if (separator == null) {
      return splitBySpace(text, limit, fromRight);
    }
    String by = Values.toText(separator, "split");
    if (by.isEmpty()) {
      throw Values.error("split: empty separator");
    }
    String rest = text;
    while (parts.size() < limit) {
      int at = fromRight ? rest.lastIndexOf(by) : rest.indexOf(by);
      if (at < 0) {
        break;
      }
      String before = rest.substring(0, at);
      String after = rest.substring(at + by.length());
      if (fromRight) {
        parts.add(0, after);
        rest = before;
      } else {
        parts.add(before);
        rest = after;
      }
    }
    parts.add(fromRight ? 0 : parts.size(), rest);
    return parts;
  }

  private static List<Object> splitBySpace(String text, long limit, boolean fromRight) {
    if (fromRight && limit != Long.MAX_VALUE) {
      throw Values.error("rsplit: a limit without a separator (expected: a separator)");
    }
    List<Object> parts = new ArrayList<>();
    String rest = strip(text, Arguments.NONE, true, false);
    while (!rest.isEmpty()) {
      int end = 0;
      while (end < rest.length() && !isSpace(rest.codePointAt(end))) {
        end += Character.charCount(rest.codePointAt(end));
      }
      if (parts.size() == limit) {
        parts.add(strip(rest, Arguments.NONE, false, true));
        return parts;
      }
      parts.add(rest.substring(0, end));
      rest = strip(rest.substring(end), Arguments.NONE, true, false);
    }
    return parts;
  }

  private static List<Object> lines(String text) {
    List<Object> lines = new ArrayList<>(List.of(text.split("\r\n|[\n\r\u000b\f]", -1)));
    if (!lines.isEmpty() && lines.get(lines.size() - 1).equals("")) {
      lines.remove(lines.size() - 1);
    }
    return lines;
  }

  private static boolean any(
      Arguments arguments, java.util.function.Predicate<String> matches, String what) {
    Object argument = arguments.get(0, "prefix");
    List<?> candidates =
        argument instanceof List<?> list ? list : List.of(string(arguments, 0, what));
    return candidates.stream().anyMatch(c -> matches.test(Values.toText(c, what)));
  }

  private static String string(Arguments arguments, int index, String what) {
    return Values.toText(arguments.get(index, what), what);
  }

  private static long codePointIndex(String text, int index) {
    return index < 0 ? -1 : text.codePointCount(0, index);
  }

  private static long count(String text, String part) {
    if (part.isEmpty()) {
      return text.codePointCount(0, text.length()) + 1L;
    }
    long count = 0;
    for (int at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length())) {
      count++;
    }
    return count;
  }

  private static boolean all(String text, java.util.function.IntPredicate predicate) {
    return !text.isEmpty() && text.codePoints().allMatch(predicate);
  }

  private static boolean cased(String text) {
    return text.codePoints().anyMatch(c -> Character.isUpperCase(c) || Character.isLowerCase(c));
  }

  private static long indexOf(List<?> list, Object value) {
    for (int i = 0; i < list.size(); i++) {
      if (Values.equal(list.get(i), value)) {
        return i;
      }
    }
    throw Values.error("index: no such item in the list");
  }
}
