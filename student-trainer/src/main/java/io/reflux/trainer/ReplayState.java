package io.reflux.trainer;

import java.util.List;

/**
 * What a replay buffer holds, in an order that restores it.
 *
 * @param fresh not trained on yet, oldest first
 * @param recent trained on, oldest first
 * @param sample of everything older
 */
public record ReplayState(
    List<LabelledSequence> fresh, List<LabelledSequence> recent, List<Sampled> sample) {

  /**
   * A sequence of the sample.
   *
   * @param priority the lowest leave first
   */
  public record Sampled(double priority, LabelledSequence sequence) {}
}
