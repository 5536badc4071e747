package io.reflux.model.reference;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;

/**
 * Angles of rotary position embedding (RoFormer, arXiv 2104.09864) with the scalings of Llama 2
 * (linear) and Llama 3.
 */
public final class RotaryFrequencies {
  private RotaryFrequencies() {}

  /**
   * Radians a position for each pair of a head. The pair of index i is made of elements i and i +
   * headSize/2.
   *
   * @return [headSize / 2]
   */
  public static double[] radiansPerPosition(ModelConfig config) {
    double[] frequencies = new double[config.headSize() / 2];
    for (int i = 0; i < frequencies.length; i++) {
      double plain = Math.pow(config.ropeTheta(), -2.0 * i / config.headSize());
      frequencies[i] = config.ropeScaling() == null ? plain : scaled(plain, config.ropeScaling());
    }
    return frequencies;
  }

  private static double scaled(double frequency, RopeScaling scaling) {
    return switch (scaling.kind()) {
      case LINEAR -> frequency / scaling.factor();
      case LLAMA3 -> llama3(frequency, scaling);
    };
  }

  /** Long waves are stretched, short ones kept, and those between are blended. */
  private static double llama3(double frequency, RopeScaling scaling) {
    double turnsInOriginal = scaling.originalMaxPositions() * frequency / (2 * Math.PI);
    if (turnsInOriginal < scaling.lowFrequencyFactor()) {
      return frequency / scaling.factor();
    }
    if (turnsInOriginal > scaling.highFrequencyFactor()) {
      return frequency;
    }
    double kept =
        (turnsInOriginal - scaling.lowFrequencyFactor())
            / (scaling.highFrequencyFactor() - scaling.lowFrequencyFactor());
    return (1 - kept) * frequency / scaling.factor() + kept * frequency;
  }
}
