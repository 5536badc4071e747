package io.reflux.compress;

import io.reflux.model.evaluate.Fidelity;
import io.reflux.model.evaluate.Throughput;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What was measured of the files that were written, read again from disk.
 *
 * @param directory where they are
 * @param original the model that they were made of
 * @param compressed what they hold
 * @param fidelity of the one to the other; empty without texts
 */
public record CompressionReport(
    Path directory, Side original, Side compressed, Optional<Fidelity.Marks> fidelity) {
  /**
   * A model.
   *
   * @param bytes of its weights' files
   * @param parameters numbers, tied ones once
   * @param perplexity on the texts; NaN without
   * @param speed median of several runs, in turns with the other's
   */
  public record Side(long bytes, long parameters, double perplexity, Throughput.Speed speed) {}
}
