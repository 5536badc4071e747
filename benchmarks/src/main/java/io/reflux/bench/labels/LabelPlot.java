package io.reflux.bench.labels;

import java.io.IOException;
import java.nio.file.Path;

final class LabelPlot {
  private LabelPlot() {}

  static void write(Path file, Samples samples, int vocabulary) throws IOException {
    throw new IOException("later");
  }
}
