package io.reflux.model.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BpeTrainerTest {
  private static final String END = "<|end|>";
  private static final List<String> TEXTS = texts();

  private static Tokenizer tokenizer;
  private static BpeVocabulary vocabulary;

  /** jqwik and Jupiter each run their own tests of this class. */
  @BeforeContainer
  static void train() throws IOException {
    vocabulary = BpeTrainer.train(TEXTS.iterator(), 600, List.of(END, "<|user|>"));
    Path directory = Files.createTempDirectory("bpe");
    vocabulary.write(directory, BpeVocabulary.Roles.endingWith(END));
    tokenizer = Tokenizer.load(directory);
  }

  @Property(tries = 300)
  void anyTextComesBack(@ForAll String text) {
    int[] ids = tokenizer.encode(text, true);

    // Only a lone surrogate has no UTF-8.
    String utf8 = lossy(text);
    assertThat(tokenizer.decode(ids, false)).isEqualTo(utf8);
    TokenStream stream = tokenizer.stream();
    StringBuilder streamed = new StringBuilder();
    for (int id : ids) {
      streamed.append(stream.push(id));
    }
    assertThat(streamed.append(stream.finish())).hasToString(utf8);
  }

  @Property(tries = 100)
  void streamOfAnyIdsJoinsToTheirText(@ForAll long seed) {
    Random random = new Random(seed);
    int[] ids = random.ints(20, 0, tokenizer.vocabularySize()).toArray();

    TokenStream stream = tokenizer.stream();
    StringBuilder streamed = new StringBuilder();
    for (int id : ids) {
      streamed.append(stream.push(id));
    }

    assertThat(streamed.append(stream.finish())).hasToString(tokenizer.decode(ids, true));
  }

  @Property(tries = 100)
  void nativeLibraryMergesAsWeDo(@ForAll long seed) {
    Random random = new Random(seed);
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 6; i++) {
      String sample = TEXTS.get(random.nextInt(TEXTS.size()));
      int start = random.nextInt(sample.length());
      text.append(sample, start, start + random.nextInt(sample.length() - start)).append("  \n");
    }

    assertThat(tokenizer.encode(text.toString(), false))
        .containsExactly(naiveEncode(text.toString()));
  }

  @Test
  void learnsTheSameFromTheSameText() throws IOException {
    train();

    assertThat(BpeTrainer.train(TEXTS.iterator(), 600, List.of(END, "<|user|>")))
        .isEqualTo(vocabulary);
  }

  @Test
  void mergesAreThoseOfARecountAfterEveryMerge() {
    BpeVocabulary trained = BpeTrainer.train(TEXTS.subList(0, 40).iterator(), 420, List.of(END));

    assertThat(trained.merges()).isEqualTo(naiveMerges(TEXTS.subList(0, 40), 420, 1));
  }

  @Test
  void specialTokensAreOneIdAndSkippedOnDemand() throws IOException {
    train();
    int[] ids = tokenizer.encode("<|user|>hello" + END, true);

    assertThat(ids[0]).isEqualTo(1);
    assertThat(ids[ids.length - 1]).isZero();
    assertThat(tokenizer.id(END)).hasValue(0);
    assertThat(tokenizer.id("no such token")).isEmpty();
    assertThat(tokenizer.decode(ids, true)).isEqualTo("hello");
    assertThat(tokenizer.decode(ids, false)).isEqualTo("<|user|>hello" + END);
    assertThat(tokenizer.vocabularySize()).isEqualTo(vocabulary.size()).isGreaterThan(300);
  }

  @Test
  void bosIsAddedWhenAsked(@TempDir Path directory) {
    BpeVocabulary trained = BpeTrainer.train(TEXTS.iterator(), 300, List.of("<|begin|>", END));
    trained.write(
        directory,
        new BpeVocabulary.Roles(Optional.of("<|begin|>"), Optional.of(END), Optional.empty()));
    Tokenizer withBos = Tokenizer.load(directory);

    assertThat(withBos.encode("hi", true)).startsWith(0).hasSizeGreaterThan(1);
    assertThat(withBos.encode("hi", false)).doesNotContain(0);
  }

  @Test
  void emojiAppearsOnceItsLastByteCame() throws IOException {
    train();
    int[] ids = tokenizer.encode("🦜!", false);
    TokenStream stream = tokenizer.stream();

    assertThat(ids).hasSize(5);
    assertThat(stream.push(ids[0])).isEmpty();
    assertThat(stream.push(ids[1])).isEmpty();
    assertThat(stream.push(ids[2])).isEmpty();
    assertThat(stream.push(ids[3])).isEqualTo("🦜");
    assertThat(stream.push(ids[4])).isEqualTo("!");
    assertThat(stream.finish()).isEmpty();
  }

  @Test
  void stopsWhenNothingRepeats() {
    assertThat(BpeTrainer.train(List.of("abcd").iterator(), 1000, List.of()).size()).isEqualTo(256);
  }

  @Test
  void refusesAVocabularyWithoutRoomForTheBytes() {
    assertThatThrownBy(() -> BpeTrainer.train(TEXTS.iterator(), 256, List.of(END)))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("vocabulary size: 256 (expected: 257");
  }

  @Test
  void loadRefusesWhatIsNoTokenizer(@TempDir Path directory) throws IOException {
    assertThatThrownBy(() -> Tokenizer.load(directory))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("tokenizer.json: no such file");
    for (String json :
        List.of(
            "",
            "[]",
            "{}",
            "{\"model\":",
            "{\"model\":{\"vocab\":{\"a\":-1}}}",
            "{\"model\":{\"vocab\":{\"a\":0}}}")) {
      Files.writeString(directory.resolve("tokenizer.json"), json);
      assertThatThrownBy(() -> Tokenizer.load(directory))
          .as(json)
          .isInstanceOf(ModelException.class)
          .message()
          .contains("tokenizer.json: not")
          .doesNotContain("\n");
    }
  }

  /** Sentences over a small made-up language, with umlauts and digits. */
  private static List<String> texts() {
    Random random = new Random(7);
    String[] words = {
      "refund",
      "order",
      "card",
      "the",
      "my",
      "Über",
      "straße",
      "where's",
      "is",
      "42",
      "1999",
      "naïve",
      "don't",
      "ordering",
      "reorder",
      "日本語",
      "—",
      "cancel!"
    };
    List<String> texts = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      StringBuilder text = new StringBuilder();
      for (int word = 0; word < 12; word++) {
        text.append(words[random.nextInt(words.length)]).append(word % 5 == 4 ? ", " : " ");
      }
      texts.add(text.toString());
    }
    return texts;
  }

  /** The textbook: join the earliest-learned pair until none is left. */
  private static int[] naiveEncode(String text) {
    Map<Long, BpeVocabulary.Merge> ranks = new HashMap<>();
    Map<BpeVocabulary.Merge, Integer> order = new HashMap<>();
    for (BpeVocabulary.Merge merge : vocabulary.merges()) {
      ranks.put((long) merge.left() << 32 | merge.right(), merge);
      order.put(merge, order.size());
    }
    List<Integer> all = new ArrayList<>();
    for (String word : BpeTrainer.words(text)) {
      List<Integer> ids = bytes(word, vocabulary.specialTokens().size());
      while (true) {
        BpeVocabulary.Merge best = null;
        for (int i = 0; i + 1 < ids.size(); i++) {
          BpeVocabulary.Merge merge = ranks.get((long) ids.get(i) << 32 | ids.get(i + 1));
          if (merge != null && (best == null || order.get(merge) < order.get(best))) {
            best = merge;
          }
        }
        if (best == null) {
          break;
        }
        ids = joined(ids, best);
      }
      all.addAll(ids);
    }
    return all.stream().mapToInt(Integer::intValue).toArray();
  }

  private static List<BpeVocabulary.Merge> naiveMerges(List<String> texts, int size, int specials) {
    List<List<Integer>> words = new ArrayList<>();
    for (String text : texts) {
      BpeTrainer.words(text).forEach(word -> words.add(bytes(word, specials)));
    }
    List<String> spelled = new ArrayList<>();
    spelled.add(END);
    for (int value = 0; value < 256; value++) {
      spelled.add(String.valueOf(ByteAlphabet.character(value)));
    }
    List<BpeVocabulary.Merge> merges = new ArrayList<>();
    while (spelled.size() < size) {
      Map<Long, Integer> counts = new HashMap<>();
      for (List<Integer> word : words) {
        for (int i = 0; i + 1 < word.size(); i++) {
          counts.merge((long) word.get(i) << 32 | word.get(i + 1), 1, Integer::sum);
        }
      }
      long best =
          counts.entrySet().stream()
              .sorted(Map.Entry.comparingByKey())
              .max(
                  Map.Entry.<Long, Integer>comparingByValue()
                      .thenComparing(Map.Entry.<Long, Integer>comparingByKey().reversed()))
              .orElseThrow()
              .getKey();
      if (counts.get(best) < 2) {
        break;
      }
      String text = spelled.get((int) (best >>> 32)) + spelled.get((int) best);
      int id = spelled.indexOf(text) >= 0 ? spelled.indexOf(text) : spelled.size();
      if (id == spelled.size()) {
        spelled.add(text);
      }
      BpeVocabulary.Merge merge = new BpeVocabulary.Merge((int) (best >>> 32), (int) best, id);
      merges.add(merge);
      words.replaceAll(word -> joined(word, merge));
    }
    return merges;
  }

  private static List<Integer> joined(List<Integer> ids, BpeVocabulary.Merge merge) {
    List<Integer> joined = new ArrayList<>();
    for (int i = 0; i < ids.size(); i++) {
      boolean joins =
          i + 1 < ids.size() && ids.get(i) == merge.left() && ids.get(i + 1) == merge.right();
      joined.add(joins ? merge.result() : ids.get(i));
      i += joins ? 1 : 0;
    }
    return joined;
  }

  private static List<Integer> bytes(String word, int specials) {
    List<Integer> ids = new ArrayList<>();
    for (byte value : word.getBytes(StandardCharsets.UTF_8)) {
      ids.add(specials + (value & 0xff));
    }
    return ids;
  }

  private static String lossy(String text) {
    StringBuilder lossy = new StringBuilder();
    text.codePoints().forEach(c -> lossy.appendCodePoint(c >= 0xD800 && c <= 0xDFFF ? 0xFFFD : c));
    return lossy.toString();
  }
}
