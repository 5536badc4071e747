package io.reflux.bench.swap;

import io.reflux.plots.Curve;
import io.reflux.plots.CurveSheet;
import io.reflux.plots.Panel;
import io.reflux.plots.Pictures;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.function.ToDoubleFunction;

/** The curves of many swaps. */
final class SwapPlot {
  private static final double MIB = 1 << 20;

  private SwapPlot() {}

  /** Draws what there is so far. */
  static void write(Path file, List<SwapSample> samples, List<SwapBlock> blocks)
      throws IOException {
    Pictures.write(
        file,
        CurveSheet.draw(
            "Swaps under load",
            samples.size()
                + " swaps while clients stream; the server is a process of its own, started as the"
                + " command starts it.",
            "swap",
            List.of(
                new Panel(
                    "Server's memory",
                    Panel.Kind.BYTES,
                    List.of(swaps("resident", samples, s -> s.residentMiB() * MIB))),
                new Panel(
                    "99 % of gaps between tokens, ms",
                    Panel.Kind.NUMBER,
                    List.of(
                        blocks("during swaps", blocks, SwapBlock::swappingTail),
                        blocks("without", blocks, SwapBlock::steadyTail))),
                new Panel(
                    "Seconds a swap",
                    Panel.Kind.NUMBER,
                    List.of(
                        swaps("new version answers", samples, SwapSample::seconds),
                        swaps("old one out of memory", samples, SwapSample::releasedSeconds))),
                new Panel(
                    "90 % of first tokens, ms",
                    Panel.Kind.NUMBER,
                    List.of(
                        blocks("during swaps", blocks, b -> b.firstSwapping().quantile(0.9)),
                        blocks("without", blocks, b -> b.firstSteady().quantile(0.9)))))));
  }

  private static Curve swaps(
      String name, List<SwapSample> samples, ToDoubleFunction<SwapSample> value) {
    return new Curve(
        name,
        samples.stream().mapToDouble(SwapSample::number).toArray(),
        samples.stream().mapToDouble(value).toArray());
  }

  private static Curve blocks(
      String name, List<SwapBlock> blocks, ToDoubleFunction<SwapBlock> value) {
    return new Curve(
        name,
        blocks.stream().mapToDouble(SwapBlock::lastSwap).toArray(),
        blocks.stream().mapToDouble(value).toArray());
  }
}
