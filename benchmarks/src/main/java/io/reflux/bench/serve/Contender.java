package io.reflux.bench.serve;

/** What continues texts greedily, many at the same time. */
interface Contender extends AutoCloseable {
  /**
   * Continues a text by exactly so many tokens, however the model would end it. May be called by
   * several threads at once.
   */
  Answer answer(String prompt, int tokens);

  /** Continues a text until the model ends it, by at most so many tokens. */
  Answer untilEnd(String prompt, int tokens);

  @Override
  void close();

  /**
   * What came.
   *
   * @param firstNanos from the question to the first token
   * @param lastNanos from the question to the last one
   */
  record Answer(String text, int tokens, long firstNanos, long lastNanos) {
    /** After the first token, which the prompt is paid by. */
    double decodeTokensPerSecond() {
      return (tokens - 1) / ((lastNanos - firstNanos) / 1e9);
    }
  }
}
