package io.reflux.trainer;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Calibration;
import io.reflux.model.compress.CalibrationSums;
import io.reflux.model.compress.QuantisationMethod;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.onnx.MatrixInput;
import io.reflux.model.runtime.RuntimeOptions;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Quantises the student as the configuration says. Where the method looks at inputs, their sums
 * roll with the traffic: each token weighs less the more came after it. They are made anew for each
 * snapshot, of the newest traffic and the weights that ship: no input in them is of an older
 * student, none is of another shape after a cut, and a resumed trainer needs nothing beside its
 * checkpoint to publish the same bytes.
 */
final class LiveQuantisation {
  private static final Logger log = LoggerFactory.getLogger(LiveQuantisation.class);

  /** What is older would weigh an eighth and less. */
  private static final int HALF_LIVES = 3;

  /** At the peak: sums in double, those of a part in float, and two more while they add up. */
  private static final int BYTES_A_PRODUCT = 24;

  private final Quantiser quantiser;
  private final Quantiser nearest;
  private final QuantisationMethod method;
  private final long halfLife;

  LiveQuantisation(TrainerConfig config) {
    this.method = config.quantisationMethod();
    this.quantiser = Quantiser.of(config.snapshotFormat(), method, Quantiser.DEFAULT_BLOCK_SIZE);
    this.nearest = Quantiser.of(config.snapshotFormat());
    this.halfLife = config.calibrationHalfLife();
  }

  /** Tokens of traffic that a student is calibrated on; 0 if the method looks at none. */
  static long tokens(TrainerConfig config) {
    return config.quantisationMethod() == QuantisationMethod.RTN
        ? 0
        : HALF_LIVES * config.calibrationHalfLife();
  }

  /** Memory that calibration takes at most, beside the student itself. */
  static long bytes(ModelConfig student) {
    return MatrixInput.of(student).stream()
        .mapToLong(input -> (long) input.width() * input.width() * BYTES_A_PRODUCT)
        .sum();
  }

  /**
   * Quantises.
   *
   * @param traffic token ids, oldest first; with none at all, as before the first label, weights
   *     are rounded to nearest
   */
  Weights quantise(ModelConfig student, Weights weights, List<int[]> traffic) {
    if (method == QuantisationMethod.RTN) {
      return nearest.quantise(student, weights);
    }
    if (traffic.isEmpty()) {
      log.info("No traffic to calibrate {} on yet: weights are rounded to nearest", method);
      return nearest.quantise(student, weights);
    }
    long start = System.nanoTime();
    CalibrationSums sums =
        Calibration.rolling(student, weights, traffic, halfLife, RuntimeOptions.DEFAULT);
    long calibrated = System.nanoTime();
    Weights quantised = quantiser.quantise(student, weights, Optional.of(sums));
    log.debug(
        "Calibrated on {} sequences in {} ms, {} in {} ms",
        traffic.size(),
        (calibrated - start) / 1_000_000,
        method,
        (System.nanoTime() - calibrated) / 1_000_000);
    return quantised;
  }
}
