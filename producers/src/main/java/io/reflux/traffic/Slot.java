package io.reflux.traffic;

import java.util.List;
import java.util.Locale;

/** The closed lists that prompts draw words from; every value is one word. */
@SuppressWarnings("ImmutableEnumChecker") // lists made by List.of never change
enum Slot {
  PRODUCT(
      // Six a team, in the order of TEAMS.
      List.of(
          "kettle",
          "toaster",
          "blender",
          "oven",
          "mixer",
          "grill",
          "headset",
          "speaker",
          "radio",
          "microphone",
          "turntable",
          "amplifier",
          "laptop",
          "printer",
          "monitor",
          "keyboard",
          "scanner",
          "desk",
          "mower",
          "hose",
          "parasol",
          "shovel",
          "hammock",
          "sprinkler",
          "treadmill",
          "bicycle",
          "tent",
          "kayak",
          "racket",
          "skateboard")),
  CITY(
      // Five a depot, in the order of DEPOTS.
      List.of(
          "Leeds",
          "York",
          "Durham",
          "Carlisle",
          "Hull",
          "Brighton",
          "Exeter",
          "Dover",
          "Poole",
          "Truro",
          "Norwich",
          "Ipswich",
          "Cambridge",
          "Lincoln",
          "Boston",
          "Bristol",
          "Chester",
          "Gloucester",
          "Bath",
          "Hereford")),
  WEEKDAY(List.of("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")),
  COLOUR(List.of("black", "white", "red", "blue", "green", "silver", "yellow", "grey")),
  MONTH(
      List.of(
          "January",
          "February",
          "March",
          "April",
          "May",
          "June",
          "July",
          "August",
          "September",
          "October",
          "November",
          "December")),
  COUNT(List.of("2", "3", "4", "5", "6", "7", "8", "9"));

  private static final List<String> TEAMS =
      List.of("kitchen", "audio", "office", "garden", "sports");
  private static final List<String> DEPOTS = List.of("north", "south", "east", "west");

  private final List<String> words;

  Slot(List<String> words) {
    this.words = words;
  }

  List<String> words() {
    return words;
  }

  /** How templates write it. */
  String placeholder() {
    return "{" + name().toLowerCase(Locale.ROOT) + "}";
  }

  /** Puts the value, and what follows from it, into a text. */
  String fill(String text, int index) {
    String filled = text.replace(placeholder(), words.get(index));
    return switch (this) {
      case PRODUCT -> filled.replace("{team}", TEAMS.get(index / (words.size() / TEAMS.size())));
      case CITY -> filled.replace("{depot}", DEPOTS.get(index / (words.size() / DEPOTS.size())));
      case WEEKDAY -> filled.replace("{next}", words.get((index + 1) % words.size()));
      case COLOUR, MONTH, COUNT -> filled;
    };
  }
}
