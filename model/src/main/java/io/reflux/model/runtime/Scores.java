package io.reflux.model.runtime;

/**
 * What a model thinks of a sequence. Row i predicts token {@code firstPosition + i}. All of it is
 * of the distribution at the request's temperature.
 *
 * @param rows predictions
 * @param k ids a row in topIds
 * @param topIds [rows, k], likeliest first
 * @param topLogprobs [rows, k], natural logs of true, unnormalised-over-k probabilities
 * @param tailLogMass [rows], log of the probability outside the k ids; -infinity when k is V
 * @param tokenLogprobs [rows], log-prob of the token that stands in the sequence
 * @param entropy [rows], nats; to about 1e-5 absolute
 * @param supportLogprobs [rows, supportSize] of the request
 * @param draws ids a row in drawnIds; 0 for none
 * @param drawnIds [rows, draws], drawn with replacement from the model's distribution
 */
public record Scores(
    int rows,
    int k,
    int[] topIds,
    float[] topLogprobs,
    float[] tailLogMass,
    float[] tokenLogprobs,
    float[] entropy,
    float[] supportLogprobs,
    int draws,
    int[] drawnIds) {
  /** Without draws. */
  public Scores(
      int rows,
      int k,
      int[] topIds,
      float[] topLogprobs,
      float[] tailLogMass,
      float[] tokenLogprobs,
      float[] entropy,
      float[] supportLogprobs) {
    this(
        rows,
        k,
        topIds,
        topLogprobs,
        tailLogMass,
        tokenLogprobs,
        entropy,
        supportLogprobs,
        0,
        new int[0]);
  }

  /** Of a request that asks for no rows. */
  static Scores none(ScorerOptions wanted) {
    float[] nothing = {};
    return new Scores(
        0,
        wanted.k(),
        new int[0],
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        wanted.draws(),
        new int[0]);
  }
}
