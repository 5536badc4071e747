package io.reflux.cli;

import io.reflux.inspect.RunPlot;
import io.reflux.plots.Pictures;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Draws training curves. */
@Command(
    name = "plot",
    description = {
      "Draws the curves of a training run: loss, agreement, λ, learning rate, entropy, speed, memory.",
      "Several runs are drawn over each other."
    },
    mixinStandardHelpOptions = true)
final class PlotCommand implements Runnable {
  @Parameters(
      arity = "1..*",
      paramLabel = "RUN",
      description =
          "A trainer's data directory (its newest run), a run in its runs/, or a metrics.csv.")
  private List<Path> runs;

  @Option(
      names = "--out",
      paramLabel = "FILE.svg|FILE.png",
      defaultValue = "run.svg",
      description = "Where to write (default: ${DEFAULT-VALUE}).")
  private Path out;

  @Spec private CommandSpec spec;

  @Override
  public void run() {
    if (!Pictures.isSupported(out)) {
      throw new RefluxException("--out: " + out + " (expected: a file ending in .svg or .png)");
    }
    String svg = RunPlot.draw(runs);
    try {
      Pictures.write(out, svg);
    } catch (IOException e) {
      throw new RefluxException("--out: " + out + ": " + e.getMessage(), e);
    }
    PrintWriter terminal = spec.commandLine().getOut();
    terminal.println(out);
    terminal.flush();
  }
}
