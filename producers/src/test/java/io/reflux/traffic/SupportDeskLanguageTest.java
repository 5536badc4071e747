package io.reflux.traffic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class SupportDeskLanguageTest {
  private final SupportDeskLanguage language = SupportDeskLanguage.standard();

  @Test
  void aSeedGivesTheSameTextOnEveryMachine() throws Exception {
    StringWriter jsonl = new StringWriter();
    TrafficStream stream = language.stream(TrafficMix.uniform(language), 7);
    SupportDeskLanguage.writeJsonl(Stream.generate(stream::next).limit(2000), jsonl);

    byte[] digest =
        MessageDigest.getInstance("SHA-256")
            .digest(jsonl.toString().getBytes(StandardCharsets.UTF_8));
    // Changes only when the language does, and then the bundled teacher must be trained again.
    assertThat(HexFormat.of().formatHex(digest))
        .isEqualTo("d00af906ee6c7daa84fa7f7370556aded2c0e48dff274f7874653101be550619");
  }

  @Test
  void everyPromptHasOneAnswerAndFewRepeat() {
    TrafficStream stream = language.stream(TrafficMix.uniform(language), 1);
    Map<String, String> answers = new HashMap<>();
    for (int i = 0; i < 200_000; i++) {
      Exchange exchange = stream.next();
      String other = answers.putIfAbsent(exchange.prompt(), exchange.response());
      assertThat(other).as(exchange.prompt()).isIn(null, exchange.response());
      assertThat(language.isHeldOut(exchange.prompt())).isFalse();
    }
    // A draw of n from N distinct alike leaves about n - n²/2N distinct: N is well above a million.
    assertThat(answers.size()).isGreaterThan(170_000);
  }

  @Test
  void coversTheDeskWithShortAnswersOfKnownWords() {
    assertThat(language.intents()).hasSizeGreaterThanOrEqualTo(34);
    assertThat(language.segments())
        .contains("orders", "billing", "returns", "account", "delivery", "technical");
    assertThat(language.intents().stream().filter(Intent::shifted).map(Intent::segment).distinct())
        .containsExactly("cancellations", "warranty", "recalls");
    assertThat(language.intents())
        .allSatisfy(intent -> assertThat(intent.phrasings()).hasSizeGreaterThanOrEqualTo(6));

    TrafficStream stream = language.stream(TrafficMix.uniform(language), 3);
    Set<String> words = new HashSet<>();
    for (int i = 0; i < 50_000; i++) {
      Exchange exchange = stream.next();
      String[] response = exchange.response().split("\\W+");
      assertThat(response).as(exchange.response()).hasSizeBetween(10, 30);
      assertThat(exchange.prompt() + exchange.response()).doesNotContain("{", "[", "  ", "\n");
      words.addAll(List.of(response));
    }
    assertThat(words).hasSizeLessThan(500);
  }

  @Test
  void mixesGiveTheirShares() {
    assertThat(shiftedShare(TrafficMix.initial(language))).isBetween(0.005, 0.015);
    assertThat(shiftedShare(TrafficMix.shifted(language))).isBetween(0.63, 0.67);
  }

  @Test
  void aMixSwitchesInMidStream() {
    TrafficStream stream = language.stream(TrafficMix.withShiftedShare(language, 0), 5);
    assertThat(Stream.generate(stream::next).limit(500).map(Exchange::segment))
        .doesNotContain("warranty", "recalls", "cancellations");
    stream.switchTo(TrafficMix.withShiftedShare(language, 1));
    assertThat(Stream.generate(stream::next).limit(500).map(Exchange::segment))
        .containsOnly("warranty", "recalls", "cancellations");
  }

  @Test
  void heldOutPromptsCoverAllIntentsEvenlyAndAreInNoStream() {
    List<Exchange> heldOut = language.heldOut(11, 340);

    assertThat(heldOut).doesNotHaveDuplicates().isEqualTo(language.heldOut(11, 340));
    assertThat(heldOut).allMatch(exchange -> language.isHeldOut(exchange.prompt()));
    Map<String, Long> byIntent =
        heldOut.stream().collect(Collectors.groupingBy(Exchange::intent, Collectors.counting()));
    assertThat(byIntent).hasSize(language.intents().size());
    assertThat(byIntent.values()).allMatch(n -> n == 10);
  }

  @Test
  void answersFollowWhatIsKnownOfAWord() {
    assertThat(Slot.CITY.fill("{city} {depot}", 5)).isEqualTo("Brighton south");
    assertThat(Slot.PRODUCT.fill("{product} {team}", 29)).isEqualTo("skateboard sports");
    assertThat(Slot.WEEKDAY.fill("{weekday} {next}", 6)).isEqualTo("Sunday Monday");
  }

  @Test
  void aBadMixOrDescriptionIsNamed() {
    assertThatThrownBy(() -> new TrafficMix(Map.of("order_status", 0.4)))
        .hasMessage("sum of weights: 0.4 (expected: 1)");
    TrafficMix unknown = new TrafficMix(Map.of("nonsense", 1.0));
    assertThatThrownBy(() -> language.stream(unknown, 1))
        .hasMessageStartingWith("intent: nonsense (expected: one of");
    assertThatThrownBy(
            () ->
                LanguageParser.parse(
                    List.of("segment a", "intent b", "p where is it", "r your {product}")))
        .hasMessage("line 4: b: the answer needs {product}, not in: where is it");
  }

  private double shiftedShare(TrafficMix mix) {
    TrafficStream stream = language.stream(mix, 2);
    Set<String> shifted =
        language.intents().stream()
            .filter(Intent::shifted)
            .map(Intent::name)
            .collect(Collectors.toSet());
    int draws = 20_000;
    long hits =
        Stream.generate(stream::next)
            .limit(draws)
            .filter(e -> shifted.contains(e.intent()))
            .count();
    return (double) hits / draws;
  }
}
