package io.reflux.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Element;
import picocli.CommandLine;

class PlotCommandTest {
  @TempDir private Path folder;
  private Path run;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int reflux(Object... args) {
    CommandLine line = Reflux.commandLine();
    line.setOut(new PrintWriter(out));
    line.setErr(new PrintWriter(err));
    return line.execute(Arrays.stream(args).map(String::valueOf).toArray(String[]::new));
  }

  @BeforeEach
  void aRun() throws IOException {
    run = Files.createDirectories(folder.resolve("trainer/runs/20260101-000000"));
    StringBuilder csv =
        new StringBuilder(
            "time,step,tokens,stage,bottleneck,loss,loss_rollouts,validation_agreement,mfu,figure_of_a_newer_build\n");
    for (int step = 1; step <= 50; step++) {
      csv.append(
          "2026-01-01T00:00:%02dZ,%d,%d,on_data,,%s,%s,%s,,7\n"
              .formatted(
                  step,
                  step,
                  100 * step,
                  5.0 / (step * step),
                  step > 25 ? "0.5" : "",
                  step / 50.0));
    }
    Files.writeString(run.resolve("metrics.csv"), csv + "2026-01-01T00:00:51Z,5");
  }

  private static long curves(Path svg) throws Exception {
    var paths =
        DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(svg.toFile())
            .getElementsByTagName("path");
    return IntStream.range(0, paths.getLength())
        .filter(i -> ((Element) paths.item(i)).getAttribute("class").equals("curve"))
        .count();
  }

  @Test
  void aDataDirectoryIsDrawnAsSvgWithACurveAFigureThatIsKnown() throws Exception {
    Path file = folder.resolve("out/run.svg");

    assertThat(reflux("plot", folder.resolve("trainer"), "--out", file))
        .as(err.toString())
        .isZero();
    assertThat(out.toString()).isEqualTo(file + System.lineSeparator());
    assertThat(curves(file)).isEqualTo(3);
    assertThat(Files.readString(file))
        .contains("Training: 20260101-000000", "50 steps, 5,000 labelled tokens", "Agreement with")
        .doesNotContain("Model FLOPs");
  }

  @Test
  void twoRunsAreDrawnOverEachOther() throws Exception {
    Path file = folder.resolve("two.svg");

    assertThat(reflux("plot", run, run.resolve("metrics.csv"), "--out", file)).isZero();
    assertThat(curves(file)).isEqualTo(6);
  }

  @Test
  void aPngDecodes() throws Exception {
    Path file = folder.resolve("run.png");

    assertThat(reflux("plot", run, "--out", file)).as(err.toString()).isZero();
    assertThat(ImageIO.read(file.toFile()).getWidth()).isEqualTo(1960);
  }

  @Test
  void mistakesAreOneLine() {
    assertThat(reflux("plot", run, "--out", "run.gif")).isEqualTo(1);
    assertThat(reflux("plot", folder)).isEqualTo(1);
    assertThat(err.toString().lines())
        .containsExactly(
            "reflux: --out: run.gif (expected: a file ending in .svg or .png)",
            "reflux: run: %s (expected: a trainer's data directory, a run in its runs/, or a metrics.csv)"
                .formatted(folder));
  }
}
