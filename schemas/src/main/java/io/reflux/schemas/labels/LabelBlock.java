package io.reflux.schemas.labels;

/**
 * What a teacher says about the next tokens at consecutive positions of one sequence. Row i is
 * about {@code token_ids[prompt_length + i]}.
 *
 * <p>The arrays are not copied; equality is by content.
 */
public sealed interface LabelBlock permits TopKBlock, SampledBlock, SupportBlock {
  /** Positions. */
  int rows();

  /** [rows], natural log of the probability of the token that stands in the sequence. */
  float[] tokenLogprobs();

  /** [rows], of the whole distribution, in nats; NaN where the teacher did not tell. */
  float[] entropy();

  LabelEncoding encoding();
}
