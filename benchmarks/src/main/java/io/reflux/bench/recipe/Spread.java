package io.reflux.bench.recipe;

import java.util.List;

/**
 * Of one figure over seeds.
 *
 * @param mean NaN of no values
 * @param deviation standard deviation of the sample; 0 of one value
 */
public record Spread(double mean, double deviation) {
  /** Of some values. */
  public static Spread of(List<Double> values) {
    double mean = values.stream().mapToDouble(Double::doubleValue).average().orElse(Double.NaN);
    double squares = values.stream().mapToDouble(v -> (v - mean) * (v - mean)).sum();
    return new Spread(mean, values.size() < 2 ? 0 : Math.sqrt(squares / (values.size() - 1)));
  }
}
