package io.reflux.bench.soak;

import io.reflux.plots.Curve;
import io.reflux.plots.CurveSheet;
import io.reflux.plots.Panel;
import io.reflux.plots.Pictures;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/** The curves of a soak. */
final class SoakPlot {
  private static final double MIB = 1 << 20;
  private static final double SECONDS_A_MINUTE = 60;

  private SoakPlot() {}

  /** Draws what there is so far. */
  static void write(Path file, List<SoakSample> samples) throws IOException {
    double seconds = samples.get(samples.size() - 1).seconds();
    Pictures.write(
        file,
        CurveSheet.draw(
            "Soak",
            String.format(
                Locale.ROOT,
                "%.0f minutes of mirrored traffic, which shifts in the middle; the trainer is a"
                    + " process of its own.",
                seconds / SECONDS_A_MINUTE),
            "minutes",
            List.of(
                panel("Trainer's memory", Panel.Kind.BYTES, samples, s -> s.trainerMiB() * MIB),
                panel("Memory of the rest", Panel.Kind.BYTES, samples, s -> s.loopMiB() * MIB),
                panel("Label records that wait", Panel.Kind.NUMBER, samples, SoakSample::lag),
                panel("Loss, nats", Panel.Kind.NUMBER, samples, SoakSample::loss),
                panel("Held-out agreement", Panel.Kind.SHARE, samples, SoakSample::agreement),
                panel("Steps", Panel.Kind.NUMBER, samples, SoakSample::steps))));
  }

  private static Panel panel(
      String title, Panel.Kind kind, List<SoakSample> samples, ToDoubleFunction<SoakSample> value) {
    double[] minutes = samples.stream().mapToDouble(s -> s.seconds() / SECONDS_A_MINUTE).toArray();
    double[] values = samples.stream().mapToDouble(value).toArray();
    return new Panel(title, kind, List.of(new Curve(title, minutes, values)));
  }
}
