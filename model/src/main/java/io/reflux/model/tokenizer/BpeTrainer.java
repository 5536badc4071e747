package io.reflux.model.tokenizer;

import io.reflux.model.ModelException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Trains a byte-level BPE tokenizer (Sennrich et al., arXiv 1508.07909, over bytes as in GPT-2).
 * Pair counts are kept up to date word by word as merges happen, so a merge costs what it changes.
 * The same text in the same order gives the same tokenizer.
 */
public final class BpeTrainer {
  /**
   * Words of GPT-2, as the ByteLevel pre-tokenizer cuts them: English clitics, letters, digits and
   * other characters with the space before them, and runs of white space.
   */
  private static final Pattern WORD =
      Pattern.compile(
          "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
          Pattern.UNICODE_CHARACTER_CLASS);

  /** Longer words are cut for counting: nothing is learned from a megabyte of one letter. */
  private static final int MAX_WORD_BYTES = 256;

  private static final int MAX_VOCABULARY = 1 << 20;

  private final List<Word> words = new ArrayList<>();
  private final Map<Long, Pair> pairs = new HashMap<>();
  private final PriorityQueue<Candidate> candidates =
      new PriorityQueue<>(
          Comparator.comparingLong(Candidate::count)
              .reversed()
              .thenComparingInt(Candidate::left)
              .thenComparingInt(Candidate::right));
  private final List<String> tokens = new ArrayList<>();
  private final Map<String, Integer> idsByToken = new HashMap<>();
  private final List<BpeVocabulary.Merge> merges = new ArrayList<>();

  private BpeTrainer() {}

  /**
   * Learns merges until the vocabulary is full or no pair of tokens occurs twice.
   *
   * @param texts any Unicode text; nothing is normalised
   * @param vocabularySize upper limit of ids, at least 256 more than there are special tokens
   * @param specialTokens get the first ids, in this order; text that spells them is not learned
   *     from
   */
  public static BpeVocabulary train(
      Iterator<String> texts, int vocabularySize, List<String> specialTokens) {
    int least = 256 + specialTokens.size();
    if (vocabularySize < least || vocabularySize > MAX_VOCABULARY) {
      throw new ModelException(
          "vocabulary size: %d (expected: %d, the bytes and special tokens, to %d)"
              .formatted(vocabularySize, least, MAX_VOCABULARY));
    }
    if (new HashSet<>(specialTokens).size() < specialTokens.size()
        || specialTokens.stream().anyMatch(token -> token.length() < 2)) {
      throw new ModelException(
          "special tokens: %s (expected: different texts of at least 2 characters)"
              .formatted(specialTokens));
    }
    BpeTrainer trainer = new BpeTrainer();
    trainer.alphabet(specialTokens);
    trainer.count(texts, specialTokens);
    trainer.learn(vocabularySize);
    return new BpeVocabulary(specialTokens, trainer.tokens, trainer.merges);
  }

  /** Cuts text as the ByteLevel pre-tokenizer does. */
  static List<String> words(String text) {
    List<String> words = new ArrayList<>();
    Matcher matcher = WORD.matcher(text);
    while (matcher.find()) {
      words.add(matcher.group());
    }
    return words;
  }

  private record Candidate(int left, int right, long count) {}

  /** A different word of the text. */
  private static final class Word {
    private final long count;
    private int[] ids;

    Word(int[] ids, long count) {
      this.ids = ids;
      this.count = count;
    }
  }

  /** How often two ids stand side by side, and the words where they may. */
  private static final class Pair {
    private long count;
    private int[] words = new int[2];
    private int size;

    void add(int word) {
      // A pair twice in one word names it twice in a row.
      if (size > 0 && words[size - 1] == word) {
        return;
      }
      if (size == words.length) {
        words = Arrays.copyOf(words, size * 2);
      }
      words[size++] = word;
    }
  }

  private void alphabet(List<String> specialTokens) {
    tokens.addAll(specialTokens);
    for (int value = 0; value < 256; value++) {
      tokens.add(String.valueOf(ByteAlphabet.character(value)));
    }
    for (int id = 0; id < tokens.size(); id++) {
      idsByToken.put(tokens.get(id), id);
    }
  }

  private void count(Iterator<String> texts, List<String> specialTokens) {
    Pattern special =
        specialTokens.isEmpty()
            ? null
            : Pattern.compile(
                String.join("|", specialTokens.stream().map(Pattern::quote).toList()));
    // In order of first appearance, so that ids do not hang on how strings hash.
    Map<String, long[]> counts = new LinkedHashMap<>();
    while (texts.hasNext()) {
      String text = texts.next();
      String[] pieces = special == null ? new String[] {text} : special.split(text);
      for (String piece : pieces) {
        for (String word : words(piece)) {
          counts.computeIfAbsent(word, unused -> new long[1])[0]++;
        }
      }
    }
    int firstByte = specialTokens.size();
    counts.forEach(
        (word, count) -> {
          byte[] bytes = word.getBytes(StandardCharsets.UTF_8);
          for (int start = 0; start < bytes.length; start += MAX_WORD_BYTES) {
            int length = Math.min(MAX_WORD_BYTES, bytes.length - start);
            int[] ids = new int[length];
            for (int i = 0; i < length; i++) {
              ids[i] = firstByte + (bytes[start + i] & 0xff);
            }
            words.add(new Word(ids, count[0]));
          }
        });
  }

  private void learn(int vocabularySize) {
    for (int index = 0; index < words.size(); index++) {
      Word word = words.get(index);
      for (int i = 0; i + 1 < word.ids.length; i++) {
        Pair pair = pairs.computeIfAbsent(key(word.ids[i], word.ids[i + 1]), k -> new Pair());
        pair.count += word.count;
        pair.add(index);
      }
    }
    pairs.forEach((key, pair) -> candidates.add(candidate(key, pair.count)));
    while (tokens.size() < vocabularySize && !candidates.isEmpty()) {
      Candidate best = candidates.poll();
      long key = key(best.left(), best.right());
      Pair pair = pairs.get(key);
      if (pair == null || pair.count < 2) {
        continue;
      }
      if (pair.count != best.count()) {
        // Stale: counts only fall between two offers of the same pair.
        candidates.add(candidate(key, pair.count));
        continue;
      }
      merge(best, pair);
    }
  }

  private void merge(Candidate best, Pair pair) {
    String text = tokens.get(best.left()) + tokens.get(best.right());
    // Two ways of joining may spell one token: "a"+"bc" and "ab"+"c".
    Integer known = idsByToken.get(text);
    int id = known != null ? known : tokens.size();
    if (known == null) {
      tokens.add(text);
      idsByToken.put(text, id);
    }
    merges.add(new BpeVocabulary.Merge(best.left(), best.right(), id));
    pairs.remove(key(best.left(), best.right()));
    // Sorted, so that ties meet in the same order on every platform.
    Map<Long, Pair> risen = new TreeMap<>();
    for (int i = 0; i < pair.size; i++) {
      mergeIn(pair.words[i], best, id, risen);
    }
    risen.forEach((key, changed) -> candidates.add(candidate(key, changed.count)));
  }

  private void mergeIn(int index, Candidate best, int id, Map<Long, Pair> risen) {
    Word word = words.get(index);
    int[] before = word.ids;
    int[] after = new int[before.length];
    int length = 0;
    for (int i = 0; i < before.length; i++) {
      boolean joins =
          i + 1 < before.length && before[i] == best.left() && before[i + 1] == best.right();
      after[length++] = joins ? id : before[i];
      if (joins) {
        i++;
      }
    }
    if (length == before.length) {
      return;
    }
    word.ids = Arrays.copyOf(after, length);
    for (int i = 0; i + 1 < before.length; i++) {
      Pair pair = pairs.get(key(before[i], before[i + 1]));
      if (pair != null) {
        pair.count -= word.count;
      }
    }
    for (int i = 0; i + 1 < length; i++) {
      long key = key(after[i], after[i + 1]);
      Pair pair = pairs.computeIfAbsent(key, unused -> new Pair());
      pair.count += word.count;
      if (after[i] == id || after[i + 1] == id) {
        pair.add(index);
        risen.put(key, pair);
      }
    }
  }

  private static Candidate candidate(long key, long count) {
    return new Candidate((int) (key >>> 32), (int) key, count);
  }

  private static long key(int left, int right) {
    return (long) left << 32 | right;
  }
}
