package io.reflux.trainer.nn;

/**
 * How likely the standing tokens were to whom wrote them, an older student. A row's weight is
 * multiplied by {@code min(clip, q(y) / behaviour(y))}, with q the student as it is now and at the
 * temperature of the draw: truncated importance sampling, which makes text of an old student count
 * as the present one's. The factor has no gradient of its own.
 *
 * @param logprobs [rows] of the sequence, natural logs of the standing tokens' probabilities when
 *     they were drawn, at {@code temperature}
 * @param temperature that was drawn at
 * @param clip largest factor, above 0
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, and handed to the kernels as it is
public record Behaviour(float[] logprobs, double temperature, double clip) {
  public Behaviour {
    if (!(temperature > 0 && temperature < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("temperature: " + temperature + " (expected: above 0)");
    }
    if (!(clip > 0 && clip < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("clip: " + clip + " (expected: above 0)");
    }
  }
}
