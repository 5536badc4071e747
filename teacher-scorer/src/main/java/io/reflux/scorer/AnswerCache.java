package io.reflux.scorer;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The teacher's answers to prompts it has met, the least recently used forgotten first. One thread
 * at a time.
 */
final class AnswerCache {
  /** Of map entry, key and arrays, in tokens, roughly. */
  private static final int OVERHEAD_TOKENS = 40;

  private final long maxTokens;
  private final LinkedHashMap<Key, int[]> answers = new LinkedHashMap<>(16, 0.75f, true);
  private long tokens;

  /**
   * @param maxTokens of prompts and answers together, overhead included
   */
  AnswerCache(long maxTokens) {
    this.maxTokens = maxTokens;
  }

  /** The answer's ids, or null. */
  int[] get(Question question) {
    return answers.get(Key.of(question));
  }

  void put(Question question, int[] answer) {
    long cost = cost(question.promptIds(), answer);
    if (cost > maxTokens) {
      return;
    }
    Key key = Key.of(question);
    int[] before = answers.put(key, answer);
    tokens += cost - (before == null ? 0 : cost(key.promptIds, before));
    var eldest = answers.entrySet().iterator();
    while (tokens > maxTokens) {
      Map.Entry<Key, int[]> entry = eldest.next();
      tokens -= cost(entry.getKey().promptIds, entry.getValue());
      eldest.remove();
    }
  }

  int size() {
    return answers.size();
  }

  private static long cost(int[] prompt, int[] answer) {
    return (long) prompt.length + answer.length + OVERHEAD_TOKENS;
  }

  private static final class Key {
    private final int[] promptIds;
    private final int maxTokens;
    private final int hash;

    private Key(int[] promptIds, int maxTokens) {
      this.promptIds = promptIds;
      this.maxTokens = maxTokens;
      this.hash = 31 * Arrays.hashCode(promptIds) + maxTokens;
    }

    static Key of(Question question) {
      return new Key(question.promptIds(), question.maxTokens());
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Key that
          && maxTokens == that.maxTokens
          && Arrays.equals(promptIds, that.promptIds);
    }

    @Override
    public int hashCode() {
      return hash;
    }
  }
}
