package io.reflux.traffic;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * How often each intent is asked.
 *
 * @param weights shares by intent name, summing to 1, in the language's order
 */
public record TrafficMix(Map<String, Double> weights) {
  /** Share of the shifted segments, together, before and after the shift. */
  private static final double SHIFTED_SHARE_BEFORE = 0.01;

  private static final double SHIFTED_SHARE_AFTER = 0.65;

  public TrafficMix {
    weights = Collections.unmodifiableMap(new LinkedHashMap<>(weights));
    double sum = 0;
    for (Map.Entry<String, Double> entry : weights.entrySet()) {
      double weight = entry.getValue();
      if (!(weight >= 0 && weight <= 1)) {
        throw new IllegalArgumentException(
            "weight of " + entry.getKey() + ": " + weight + " (expected: 0 to 1)");
      }
      sum += weight;
    }
    if (Math.abs(sum - 1) > 1e-6) {
      throw new IllegalArgumentException("sum of weights: " + sum + " (expected: 1)");
    }
  }

  /** {@link #uniform(SupportDeskLanguage)} of the language that ships. */
  public static TrafficMix uniform() {
    return uniform(SupportDeskLanguage.standard());
  }

  /** {@link #initial(SupportDeskLanguage)} of the language that ships. */
  public static TrafficMix initial() {
    return initial(SupportDeskLanguage.standard());
  }

  /** {@link #shifted(SupportDeskLanguage)} of the language that ships. */
  public static TrafficMix shifted() {
    return shifted(SupportDeskLanguage.standard());
  }

  /** Every intent alike: what a teacher is trained on. */
  public static TrafficMix uniform(SupportDeskLanguage language) {
    return weighted(language, intent -> 1);
  }

  /** Ordinary days: the shifted segments are 1 % of traffic. */
  public static TrafficMix initial(SupportDeskLanguage language) {
    return withShiftedShare(language, SHIFTED_SHARE_BEFORE);
  }

  /** After the shift: the shifted segments are 65 % of traffic. */
  public static TrafficMix shifted(SupportDeskLanguage language) {
    return withShiftedShare(language, SHIFTED_SHARE_AFTER);
  }

  /**
   * Shifted intents share {@code share} evenly, and the others the rest.
   *
   * @param share 0 to 1
   */
  public static TrafficMix withShiftedShare(SupportDeskLanguage language, double share) {
    List<Intent> intents = language.intents();
    long shifted = intents.stream().filter(Intent::shifted).count();
    long ordinary = intents.size() - shifted;
    return weighted(
        language, intent -> intent.shifted() ? share / shifted : (1 - share) / ordinary);
  }

  private static TrafficMix weighted(
      SupportDeskLanguage language, ToDoubleFunction<Intent> weight) {
    double sum = language.intents().stream().mapToDouble(weight).sum();
    Map<String, Double> weights = new LinkedHashMap<>();
    for (Intent intent : language.intents()) {
      weights.put(intent.name(), weight.applyAsDouble(intent) / sum);
    }
    return new TrafficMix(weights);
  }
}
