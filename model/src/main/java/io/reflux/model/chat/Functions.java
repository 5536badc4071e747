package io.reflux.model.chat;

import io.reflux.model.chat.Values.Callable;
import io.reflux.model.chat.Values.Namespace;
import java.time.Clock;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The functions that transformers gives to chat templates. */
final class Functions {
  /** Jinja's sandbox allows no longer ranges. */
  private static final int MAX_RANGE = 100_000;

  private Functions() {}

  static Map<String, Object> all(Clock clock) {
    Map<String, Callable> functions =
        Map.of(
            "raise_exception",
            arguments -> {
              throw Values.error(Values.shortened(Values.str(arguments.get(0, "message"))));
            },
            "strftime_now",
            arguments -> time(Values.toText(arguments.get(0, "format"), "strftime_now"), clock),
            "range",
            arguments -> range(arguments.positional()),
            "namespace",
            arguments -> {
              Namespace namespace = new Namespace();
              for (Object initial : arguments.positional()) {
                if (initial instanceof Map<?, ?> map) {
                  map.forEach((key, value) -> namespace.attributes.put(Values.str(key), value));
                }
              }
              namespace.attributes.putAll(arguments.named());
              return namespace;
            },
            "dict",
            arguments -> new LinkedHashMap<Object, Object>(arguments.named()));
    return Map.copyOf(functions);
  }

  private static List<Object> range(List<Object> arguments) {
    if (arguments.isEmpty() || arguments.size() > 3) {
      throw Values.error("range: %d arguments (expected: 1 to 3)".formatted(arguments.size()));
    }
    long first = Values.toLong(arguments.get(0), "range");
    long start = arguments.size() == 1 ? 0 : first;
    long stop = arguments.size() == 1 ? first : Values.toLong(arguments.get(1), "range");
    long step = arguments.size() < 3 ? 1 : Values.toLong(arguments.get(2), "range");
    if (step == 0) {
      throw Values.error("range: step 0");
    }
    List<Object> range = new ArrayList<>();
    for (long at = start; step > 0 ? at < stop : at > stop; at += step) {
      if (range.size() == MAX_RANGE) {
        throw Values.error("range over %d items".formatted(MAX_RANGE));
      }
      range.add(at);
    }
    return range;
  }

  /** The directives of strftime that dates in prompts are written with. */
  private static String time(String format, Clock clock) {
    ZonedDateTime now = ZonedDateTime.now(clock);
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      if (format.charAt(i) != '%' || i + 1 == format.length()) {
        out.append(format.charAt(i));
        continue;
      }
      char directive = format.charAt(++i);
      if (directive == '-' && i + 1 < format.length()) {
        // %-d is %d without its leading zero.
        String padded = directive(format.charAt(++i), now);
        out.append(padded.replaceFirst("^0+(?=\\d)", ""));
      } else {
        out.append(directive(directive, now));
      }
    }
    return out.toString();
  }

  private static String directive(char directive, ZonedDateTime now) {
    String pattern =
        switch (directive) {
          case 'Y' -> "yyyy";
          case 'y' -> "yy";
          case 'm' -> "MM";
          case 'd' -> "dd";
          case 'B' -> "MMMM";
          case 'b', 'h' -> "MMM";
          case 'A' -> "EEEE";
          case 'a' -> "EEE";
          case 'H' -> "HH";
          case 'I' -> "hh";
          case 'M' -> "mm";
          case 'S' -> "ss";
          case 'p' -> "a";
          case 'j' -> "DDD";
          case 'F' -> "yyyy-MM-dd";
          case 'T' -> "HH:mm:ss";
          case '%' -> "'%'";
          default ->
              throw Values.error("strftime_now: %%%c: no such directive".formatted(directive));
        };
    return DateTimeFormatter.ofPattern(pattern, Locale.US).format(now);
  }
}
