package io.reflux.traffic;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads the language's description; its syntax is in the head of support-desk.txt. */
final class LanguageParser {
  private final Map<String, Intent> intents = new LinkedHashMap<>();
  private String segment = "";
  private boolean shifted;
  private String name = "";
  private final List<List<String>> phrasings = new ArrayList<>();

  /** Intents by name, in the order of the description. */
  static Map<String, Intent> parse(List<String> lines) {
    LanguageParser parser = new LanguageParser();
    for (int i = 0; i < lines.size(); i++) {
      try {
        parser.line(lines.get(i).strip());
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException("line " + (i + 1) + ": " + e.getMessage(), e);
      }
    }
    return parser.intents;
  }

  private void line(String line) {
    if (line.isEmpty() || line.startsWith("#")) {
      return;
    }
    int space = line.indexOf(' ');
    String text = line.substring(space + 1);
    switch (line.substring(0, space)) {
      case "segment" -> {
        shifted = text.endsWith(" shifted");
        segment = shifted ? text.substring(0, text.length() - " shifted".length()) : text;
      }
      case "intent" -> name = text;
      case "p" -> phrasings.add(expand(text));
      case "r" -> finish(text);
      default -> throw new IllegalArgumentException(line + " (expected: segment, intent, p or r)");
    }
  }

  private void finish(String answer) {
    for (Slot slot : slotsOf(answer)) {
      for (List<String> phrasing : phrasings) {
        if (!phrasing.get(0).contains(slot.placeholder())) {
          throw new IllegalArgumentException(
              name + ": the answer needs " + slot.placeholder() + ", not in: " + phrasing.get(0));
        }
      }
    }
    if (intents.put(name, new Intent(name, segment, shifted, phrasings, answer)) != null) {
      throw new IllegalArgumentException("intent: " + name + " (expected: a name not used before)");
    }
    phrasings.clear();
  }

  /** Slots that an answer needs in its prompt, derived ones included. */
  private static List<Slot> slotsOf(String answer) {
    List<Slot> slots = new ArrayList<>();
    for (Slot slot : Slot.values()) {
      if (!slot.fill(answer, 0).equals(answer)) {
        slots.add(slot);
      }
    }
    return slots;
  }

  /** Every text that the alternatives in square brackets allow, in order. */
  private static List<String> expand(String template) {
    int open = template.indexOf('[');
    if (open < 0) {
      return List.of(String.join(" ", template.strip().split(" +")));
    }
    int close = template.indexOf(']', open);
    if (close < 0) {
      throw new IllegalArgumentException("template: " + template + " (expected: ] after [)");
    }
    List<String> texts = new ArrayList<>();
    for (String choice : template.substring(open + 1, close).split("\\|", -1)) {
      texts.addAll(expand(template.substring(0, open) + choice + template.substring(close + 1)));
    }
    return texts;
  }
}
