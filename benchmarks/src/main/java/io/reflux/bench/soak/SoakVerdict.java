package io.reflux.bench.soak;

import io.reflux.bench.Medians;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/** Whether anything ran away, judged by what came after the warm-up. */
final class SoakVerdict {
  private static final double SECONDS_AN_HOUR = 3600;

  private final List<SoakSample> samples;
  private final Bounds bounds;

  /**
   * What is still well.
   *
   * @param warmUpShare of the duration that does not count
   * @param growthMiB that the trainer's memory may grow by after the warm-up, along the line that
   *     fits best
   * @param growthShare of its memory that this may be, if that is more
   * @param lag label records
   */
  record Bounds(double warmUpShare, double growthMiB, double growthShare, double lag) {}

  SoakVerdict(List<SoakSample> samples, Bounds bounds) {
    double end = samples.isEmpty() ? 0 : samples.get(samples.size() - 1).seconds();
    this.samples = samples.stream().filter(s -> s.seconds() >= bounds.warmUpShare() * end).toList();
    this.bounds = bounds;
  }

  /** MiB an hour, of the trainer. */
  double slope() {
    return slope(SoakSample::trainerMiB) * SECONDS_AN_HOUR;
  }

  /** MiB from the end of the warm-up to the end of the run, along the line that fits best. */
  double growth() {
    return slope(SoakSample::trainerMiB) * seconds();
  }

  /** MiB an hour, of everything else. */
  double loopSlope() {
    return slope(SoakSample::loopMiB) * SECONDS_AN_HOUR;
  }

  double median(ToDoubleFunction<SoakSample> of) {
    return Medians.of(samples.stream().map(of::applyAsDouble).filter(v -> !v.isNaN()).toList());
  }

  double most(ToDoubleFunction<SoakSample> of) {
    return samples.stream().mapToDouble(of).filter(v -> !Double.isNaN(v)).max().orElse(Double.NaN);
  }

  /** What is not well, a line each. */
  List<String> failures() {
    List<String> failures = new ArrayList<>();
    double allowed =
        Math.max(bounds.growthMiB(), bounds.growthShare() * median(SoakSample::trainerMiB));
    if (!(growth() <= allowed)) {
      failures.add(
          String.format(
              Locale.ROOT,
              "trainer's memory: grew by %.1f MiB after the warm-up (expected: at most %.1f)",
              growth(),
              allowed));
    }
    if (!(most(SoakSample::lag) <= bounds.lag())) {
      failures.add(
          String.format(
              Locale.ROOT,
              "lag: %.0f label records (expected: at most %.0f)",
              most(SoakSample::lag),
              bounds.lag()));
    }
    return failures;
  }

  private double seconds() {
    return samples.size() < 2
        ? 0
        : samples.get(samples.size() - 1).seconds() - samples.get(0).seconds();
  }

  /** Of least squares, a second. */
  private double slope(ToDoubleFunction<SoakSample> of) {
    double meanTime = samples.stream().mapToDouble(SoakSample::seconds).average().orElse(0);
    double mean = samples.stream().mapToDouble(of).average().orElse(0);
    double above = 0;
    double below = 0;
    for (SoakSample sample : samples) {
      double time = sample.seconds() - meanTime;
      above += time * (of.applyAsDouble(sample) - mean);
      below += time * time;
    }
    return below == 0 ? Double.NaN : above / below;
  }
}
