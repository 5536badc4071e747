package io.reflux.plots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

class CurveSheetTest {
  @TempDir private Path folder;

  private static Curve curve(String name, double... y) {
    return new Curve(name, IntStream.range(0, y.length).asDoubleStream().toArray(), y);
  }

  private static List<Element> curves(String svg) throws Exception {
    Document document =
        DocumentBuilderFactory.newInstance()
            .newDocumentBuilder()
            .parse(new ByteArrayInputStream(svg.getBytes(StandardCharsets.UTF_8)));
    var paths = document.getElementsByTagName("path");
    return IntStream.range(0, paths.getLength())
        .mapToObj(i -> (Element) paths.item(i))
        .filter(path -> path.getAttribute("class").equals("curve"))
        .toList();
  }

  private static String sheet(Panel... panels) {
    return CurveSheet.draw("A run <of> two", "steps & more", "step", List.of(panels));
  }

  @Test
  void everyKnownCurveIsDrawnOnceAndNothingElse() throws Exception {
    String svg =
        sheet(
            new Panel(
                "Loss",
                Panel.Kind.LOGARITHMIC,
                List.of(curve("all", 3, 0.5, 0.001), curve("rollouts", Double.NaN, 1, 0.2))),
            new Panel("Unknown", Panel.Kind.NUMBER, List.of(curve("nothing", Double.NaN))),
            new Panel(
                "Agreement",
                Panel.Kind.SHARE,
                List.of(curve("held out", 0.1, 0.9), curve("unknown", Double.NaN, Double.NaN))));

    assertThat(curves(svg))
        .extracting(path -> path.getElementsByTagName("title").item(0).getTextContent())
        .containsExactly("all", "rollouts", "held out");
    assertThat(svg)
        .contains("Loss", "Agreement", "A run &lt;of&gt; two")
        .doesNotContain("NaN", "Unknown");
  }

  @Test
  void whatIsNotKnownBreaksTheLine() throws Exception {
    String svg =
        sheet(new Panel("p", Panel.Kind.NUMBER, List.of(curve("c", 1, 2, Double.NaN, 3, 4))));

    String path = curves(svg).get(0).getAttribute("d");
    assertThat(path.chars().filter(c -> c == 'M').count()).isEqualTo(2);
    assertThat(path.chars().filter(c -> c == 'L').count()).isEqualTo(2);
  }

  @Test
  void aSpikeOfALongRunIsSeen() throws Exception {
    double[] y = new double[100_000];
    Arrays.fill(y, 1);
    y[54_321] = 10;

    String path =
        curves(sheet(new Panel("p", Panel.Kind.NUMBER, List.of(curve("c", y)))))
            .get(0)
            .getAttribute("d");
    double top =
        Arrays.stream(path.substring(1).split("L"))
            .mapToDouble(point -> Double.parseDouble(point.split(" ")[1]))
            .min()
            .orElseThrow();
    double usual = Double.parseDouble(path.substring(1).split("L")[0].split(" ")[1]);
    assertThat(usual - top).isGreaterThan(100);
    assertThat(path.length()).isLessThan(20_000);
  }

  @Test
  void aFlatCurveAndASinglePointHaveAxes() throws Exception {
    assertThat(curves(sheet(new Panel("flat", Panel.Kind.NUMBER, List.of(curve("c", 5, 5, 5))))))
        .hasSize(1);
    assertThat(curves(sheet(new Panel("zero", Panel.Kind.SHARE, List.of(curve("c", 0))))))
        .hasSize(1);
    assertThat(
            curves(sheet(new Panel("log", Panel.Kind.LOGARITHMIC, List.of(curve("c", 0.002, 0))))))
        .hasSize(1);
    assertThat(curves(sheet())).isEmpty();
  }

  @Test
  void pngIsTheSamePicture() throws Exception {
    String svg = sheet(new Panel("Loss", Panel.Kind.NUMBER, List.of(curve("all", 3, 2, 1))));
    Path file = folder.resolve("plots/run.png");
    Pictures.write(file, svg);
    Pictures.write(folder.resolve("run.svg"), svg);

    BufferedImage image = ImageIO.read(file.toFile());
    assertThat(image.getWidth()).isEqualTo(2 * 980);
    assertThat(image.getHeight()).isEqualTo(2 * 322);
    long blue =
        IntStream.range(0, image.getWidth() * image.getHeight())
            .filter(
                i ->
                    (image.getRGB(i % image.getWidth(), i / image.getWidth()) & 0xffffff)
                        == 0x0072b2)
            .count();
    assertThat(blue).isGreaterThan(500);
    assertThat(folder.resolve("run.svg")).hasContent(svg);
  }

  @Test
  void otherKindsOfFilesAreRefused() {
    assertThatExceptionOfType(IllegalArgumentException.class)
        .isThrownBy(() -> Pictures.write(folder.resolve("run.gif"), sheet()))
        .withMessage("file: %s (expected: .svg or .png)", folder.resolve("run.gif"));
  }
}
