package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class AnswerCacheTest {
  private static Question question(int id, int maxTokens) {
    return new Question(new int[] {id, 2, 3}, maxTokens, false);
  }

  @Test
  void forgetsTheLeastRecentlyUsedWhenFull() {
    AnswerCache cache = new AnswerCache(3 * 45);
    for (int id = 0; id < 3; id++) {
      cache.put(question(id, 8), new int[] {id, 9});
    }
    assertThat(cache.get(question(0, 8))).containsExactly(0, 9);
    cache.put(question(3, 8), new int[] {3, 9});

    assertThat(cache.size()).isEqualTo(3);
    assertThat(cache.get(question(1, 8))).isNull();
    assertThat(cache.get(question(0, 8))).isNotNull();
  }

  @Test
  void anotherLimitIsAnotherQuestion() {
    AnswerCache cache = new AnswerCache(1000);
    cache.put(question(1, 8), new int[] {4});
    assertThat(cache.get(question(1, 9))).isNull();
  }

  @Test
  void keepsNothingThatDoesNotFitAndCountsAReplacementOnce() {
    AnswerCache cache = new AnswerCache(50);
    cache.put(question(1, 8), new int[100]);
    assertThat(cache.size()).isZero();
    for (int i = 0; i < 5; i++) {
      cache.put(question(1, 8), new int[] {i});
    }
    assertThat(cache.get(question(1, 8))).containsExactly(4);
  }
}
