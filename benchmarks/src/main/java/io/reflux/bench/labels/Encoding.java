package io.reflux.bench.labels;

import io.reflux.schemas.labels.LabelEncoding;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * One way to label.
 *
 * @param size ids a row, or draws
 */
record Encoding(LabelEncoding kind, int size) {
  /** All that are measured. */
  static final List<Encoding> ALL =
      Stream.of(
              of(LabelEncoding.TOPK, 8, 16, 25, 50, 64, 128),
              of(LabelEncoding.SAMPLED, 12, 50, 128),
              of(LabelEncoding.SUPPORT, 50))
          .flatMap(List::stream)
          .toList();

  private static List<Encoding> of(LabelEncoding kind, int... sizes) {
    return IntStream.of(sizes).mapToObj(size -> new Encoding(kind, size)).toList();
  }

  /** Such as {@code topk50}. */
  String label() {
    return kind.name().toLowerCase(Locale.ROOT) + size;
  }
}
