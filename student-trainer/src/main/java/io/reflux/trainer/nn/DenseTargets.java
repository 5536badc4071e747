package io.reflux.trainer.nn;

/**
 * Distributions over the whole vocabulary. They take rows × vocabulary × 4 bytes, twice while a
 * batch runs: meant for small vocabularies, benchmarks and tests.
 *
 * <p>Forward KL leaves out ids of probability 0. For every other divergence no id of the teacher
 * counts as less likely than e^-30, as with {@link NamedTargets}.
 *
 * @param vocabularySize V
 * @param logprobs [rows, V], natural logs, each row summing to 1; negative infinity allowed
 * @param temperature T of the log-probs
 * @param tokenLogprobs [rows], of the standing tokens, nats; null where they are not known
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, and handed to the kernels as it is
public record DenseTargets(
    int vocabularySize, float[] logprobs, double temperature, float[] tokenLogprobs)
    implements Targets {

  public DenseTargets {
    if (vocabularySize < 1
        || logprobs.length % vocabularySize != 0
        || (tokenLogprobs != null && tokenLogprobs.length != logprobs.length / vocabularySize)) {
      throw new IllegalArgumentException(
          "targets: %d logprobs (expected: rows of %d)".formatted(logprobs.length, vocabularySize));
    }
    if (!(temperature > 0 && temperature < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("temperature: " + temperature + " (expected: above 0)");
    }
  }

  /** Without the log-probs of the standing tokens. */
  public DenseTargets(int vocabularySize, float[] logprobs, double temperature) {
    this(vocabularySize, logprobs, temperature, null);
  }

  @Override
  public int rows() {
    return logprobs.length / vocabularySize;
  }

  @Override
  public void require(int expectedRows, int expectedVocabulary) {
    if (rows() != expectedRows || vocabularySize != expectedVocabulary) {
      throw new IllegalArgumentException(
          "targets: %d rows of %d (expected: %d of %d)"
              .formatted(rows(), vocabularySize, expectedRows, expectedVocabulary));
    }
  }
}
