package io.reflux.bench.compress;

import io.reflux.model.evaluate.Fidelity;
import io.reflux.model.evaluate.Throughput;
import java.util.List;

/**
 * What was measured of one way.
 *
 * @param bytes of its file of weights
 * @param prefillRatio median over the runs of its speed by that of the original in the same run
 * @param decodeRatio the same of writing
 * @param speed median
 */
record Row(
    String name,
    String family,
    long bytes,
    Fidelity.Marks marks,
    double prefillRatio,
    double decodeRatio,
    Throughput.Speed speed) {
  static final List<String> COLUMNS =
      List.of(
          "method",
          "bytes",
          "size_ratio",
          "kl",
          "agreement",
          "perplexity",
          "perplexity_change",
          "prefill_ratio",
          "decode_ratio",
          "prefill_tokens_per_second",
          "decode_tokens_per_second",
          "pareto");

  /** Nothing is both smaller and nearer to the original. */
  boolean isBest(List<Row> all) {
    return all.stream()
        .noneMatch(
            other ->
                other.bytes <= bytes
                    && other.marks.kl() <= marks.kl()
                    && (other.bytes < bytes || other.marks.kl() < marks.kl()));
  }

  List<Object> cells(Row original, List<Row> all) {
    return List.of(
        name,
        bytes,
        (double) bytes / original.bytes,
        marks.kl(),
        marks.agreement(),
        marks.perplexity(),
        marks.perplexityChange(),
        prefillRatio,
        decodeRatio,
        speed.prefill(),
        speed.decode(),
        isBest(all) ? "yes" : "no");
  }

  /** As a key of figures. */
  String key() {
    return name.replaceAll("[^A-Za-z0-9]+", "_").toLowerCase(java.util.Locale.ROOT);
  }
}
