package io.reflux.trainer.watch;

import java.util.ArrayList;
import java.util.List;

/** A line of comma-separated values as RFC 4180 has it; no value holds a line break here. */
final class Csv {
  private Csv() {}

  /** Quotes what needs it. */
  static String line(List<String> values) {
    StringBuilder line = new StringBuilder();
    for (String value : values) {
      line.append(line.isEmpty() ? "" : ",");
      boolean plain = value.indexOf(',') < 0 && value.indexOf('"') < 0;
      line.append(plain ? value : '"' + value.replace("\"", "\"\"") + '"');
    }
    return line.append('\n').toString();
  }

  static List<String> parse(String line) {
    List<String> values = new ArrayList<>();
    StringBuilder value = new StringBuilder();
    boolean quoted = false;
    for (int i = 0; i < line.length(); i++) {
      char c = line.charAt(i);
      if (quoted && c == '"' && i + 1 < line.length() && line.charAt(i + 1) == '"') {
        value.append('"');
        i++;
      } else if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        values.add(value.toString());
        value.setLength(0);
      } else {
        value.append(c);
      }
    }
    values.add(value.toString());
    return values;
  }
}
