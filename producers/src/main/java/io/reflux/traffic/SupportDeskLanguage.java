package io.reflux.traffic;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * A small support-desk language whose every prompt has one right answer.
 *
 * <p>A prompt is a phrasing of an intent with words drawn from closed lists, and around it a
 * greeting, a filler, urgency, courtesy, punctuation and now and then a typo. The answer follows
 * from the intent, the drawn words (and what is known of them: a product's team, a city's depot,
 * the next weekday), and from whether the prompt greets, hurries or thanks. So a teacher can be
 * sure of every token, and a student has something to learn: copying, facts, and paraphrases.
 */
public final class SupportDeskLanguage {
  /** Share of prompts that no stream contains. */
  public static final double HELD_OUT_FRACTION = 0.02;

  private static final String RESOURCE = "support-desk.txt";
  private static final double TYPO_PROBABILITY = 0.08;
  private static final int SHORTEST_WORD_WITH_TYPO = 5;

  /** Greeting and how the answer greets back; half of all prompts have none. */
  private static final List<Feature> GREETINGS =
      List.of(
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("hi", "Hello! "),
          new Feature("hello", "Hello! "),
          new Feature("hey", "Hello! "),
          new Feature("good morning", "Good morning! "),
          new Feature("good evening", "Good evening! "));

  private static final List<String> FILLERS =
      List.of(
          "",
          "",
          "",
          "",
          "",
          "quick question",
          "sorry to bother you",
          "i have a question",
          "so",
          "one more thing");

  private static final List<Feature> HURRIES =
      List.of(
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("it is urgent", "Right away. "),
          new Feature("as fast as you can", "Right away. "),
          new Feature("i am in a hurry", "Right away. "));

  private static final List<Feature> COURTESIES =
      List.of(
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("", ""),
          new Feature("please help", ""),
          new Feature("please", ""),
          new Feature("thanks", " You are welcome!"),
          new Feature("thank you", " You are welcome!"),
          new Feature("many thanks", " You are welcome!"));

  private static final List<String> ENDINGS = List.of("", "", "", ".", "?", "!");

  private final Map<String, Intent> intents;
  private final List<Intent> list;

  private SupportDeskLanguage(Map<String, Intent> intents) {
    this.intents = intents;
    this.list = List.copyOf(intents.values());
  }

  /** The language as it ships. */
  public static SupportDeskLanguage standard() {
    try (InputStream in = SupportDeskLanguage.class.getResourceAsStream(RESOURCE);
        BufferedReader reader =
            new BufferedReader(new InputStreamReader(in, StandardCharsets.UTF_8))) {
      return new SupportDeskLanguage(LanguageParser.parse(reader.lines().toList()));
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + RESOURCE, e);
    }
  }

  /** In the order of the description: ordinary segments, then shifted ones. */
  public List<Intent> intents() {
    return list;
  }

  /** Names in the order of the description. */
  public Set<String> segments() {
    Set<String> segments = new LinkedHashSet<>();
    list.forEach(intent -> segments.add(intent.segment()));
    return segments;
  }

  /** An endless stream; equal arguments give equal streams. */
  public TrafficStream stream(TrafficMix mix, long seed) {
    return new TrafficStream(this, mix, seed);
  }

  /** Whether a prompt is kept out of every stream. */
  public boolean isHeldOut(String prompt) {
    return HeldOutPrompts.isHeldOut(prompt, HELD_OUT_FRACTION);
  }

  /** Distinct held-out exchanges over the whole language, evenly over intents. */
  public List<Exchange> heldOut(long seed, int count) {
    SeededRandom random = new SeededRandom(~seed);
    Set<String> seen = new HashSet<>();
    List<Exchange> exchanges = new ArrayList<>(count);
    while (exchanges.size() < count) {
      Intent intent = list.get(exchanges.size() % list.size());
      Exchange exchange = say(intent, random);
      if (isHeldOut(exchange.prompt()) && seen.add(exchange.prompt())) {
        exchanges.add(exchange);
      }
    }
    return exchanges;
  }

  /** Writes the first exchanges of a stream over the language that ships; replaces the file. */
  public static void writeJsonl(Path file, TrafficMix mix, long seed, int count)
      throws IOException {
    TrafficStream stream = standard().stream(mix, seed);
    try (Writer out = Files.newBufferedWriter(file)) {
      writeJsonl(Stream.generate(stream::next).limit(count), out);
    }
  }

  /** One JSON object a line: prompt, response, intent, segment. The writer is left open. */
  public static void writeJsonl(Stream<Exchange> exchanges, Writer out) throws IOException {
    JsonGenerator json =
        new JsonFactory().createGenerator(out).disable(JsonGenerator.Feature.AUTO_CLOSE_TARGET);
    json.setRootValueSeparator(null);
    for (var iterator = exchanges.iterator(); iterator.hasNext(); ) {
      Exchange exchange = iterator.next();
      json.writeStartObject();
      json.writeStringField("prompt", exchange.prompt());
      json.writeStringField("response", exchange.response());
      json.writeStringField("intent", exchange.intent());
      json.writeStringField("segment", exchange.segment());
      json.writeEndObject();
      json.writeRaw('\n');
    }
    json.close();
    out.flush();
  }

  Intent intent(String name) {
    Intent intent = intents.get(name);
    if (intent == null) {
      throw new IllegalArgumentException(
          "intent: " + name + " (expected: one of " + intents.keySet() + ")");
    }
    return intent;
  }

  /** One way to say it, held out or not. */
  Exchange say(Intent intent, SeededRandom random) {
    String core = random.pick(random.pick(intent.phrasings()));
    core = withTypo(core, random); // before the slots are filled: their words stay whole
    String answer = intent.answer();
    for (Slot slot : Slot.values()) {
      if (core.contains(slot.placeholder())) {
        int value = random.nextInt(slot.words().size());
        core = slot.fill(core, value);
        answer = slot.fill(answer, value);
      }
    }
    Feature greeting = random.pick(GREETINGS);
    Feature hurry = random.pick(HURRIES);
    Feature courtesy = random.pick(COURTESIES);
    StringBuilder prompt = new StringBuilder();
    append(prompt, greeting.said());
    append(prompt, random.pick(FILLERS));
    if (prompt.length() > 0 && random.nextInt(2) == 0) {
      prompt.append(',');
    }
    append(prompt, core);
    append(prompt, hurry.said());
    append(prompt, courtesy.said());
    prompt.append(random.pick(ENDINGS));
    if (random.nextInt(4) == 0) {
      prompt.setCharAt(0, Character.toUpperCase(prompt.charAt(0)));
    }
    String response = greeting.answered() + hurry.answered() + answer + courtesy.answered();
    return new Exchange(prompt.toString(), response, intent.name(), intent.segment());
  }

  private static void append(StringBuilder text, String words) {
    if (!words.isEmpty()) {
      text.append(text.length() == 0 ? "" : " ").append(words);
    }
  }

  private static String withTypo(String core, SeededRandom random) {
    if (random.nextDouble() >= TYPO_PROBABILITY) {
      return core;
    }
    String[] words = core.split(" ");
    int at = random.nextInt(words.length);
    String word = words[at];
    if (word.length() < SHORTEST_WORD_WITH_TYPO || word.startsWith("{")) {
      return core;
    }
    int letter = 1 + random.nextInt(word.length() - 2);
    String before = word.substring(0, letter);
    String after = word.substring(letter + 1);
    words[at] =
        switch (random.nextInt(3)) {
          case 0 -> before + after;
          case 1 -> before + word.charAt(letter) + word.charAt(letter) + after;
          default -> before + after.charAt(0) + word.charAt(letter) + after.substring(1);
        };
    return String.join(" ", words);
  }

  private record Feature(String said, String answered) {}
}
