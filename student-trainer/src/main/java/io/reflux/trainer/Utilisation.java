package io.reflux.trainer;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.nn.Adaptation;
import io.reflux.trainer.nn.GemmPeak;
import io.reflux.trainer.nn.TrainingFlops;
import java.time.Duration;

/**
 * Which share of the machine's arithmetic a student's training uses (MFU, arXiv 2204.02311).
 *
 * @param student its shape
 * @param adaptation what of it is trained
 * @param peak of all devices, floating-point operations a second
 */
record Utilisation(ModelConfig student, Adaptation adaptation, double peak) {
  private static final Duration PEAK_TIME = Duration.ofMillis(300);
  private static final double GIGA = 1e9;

  /** As configured, or measured now on the first of the devices. */
  static Utilisation of(TrainerConfig config, ModelConfig student) {
    String[] devices = config.devices().split(",", -1);
    double one =
        config.peakGflops().isPresent()
            ? GIGA * config.peakGflops().getAsDouble()
            : GemmPeak.measure(devices[0].strip(), config.threads(), PEAK_TIME);
    return new Utilisation(
        student, StudentModel.options(config).adaptation(), devices.length * one);
  }

  /** The same of a student that was cut. */
  Utilisation of(ModelConfig cut) {
    return new Utilisation(cut, adaptation, peak);
  }

  /**
   * The share; NaN without tokens.
   *
   * @param tokens trained on, prompts included
   * @param sequences that they were in
   * @param rows of them whose successor was learned
   */
  double share(long tokens, long sequences, long rows, double seconds) {
    if (tokens == 0) {
      return Double.NaN;
    }
    double operations =
        tokens
            * TrainingFlops.perToken(
                student, adaptation, (double) tokens / sequences, (double) rows / tokens);
    return operations / seconds / peak;
  }
}
