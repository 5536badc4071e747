package io.reflux.bench.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;

class LabelsBenchmarkTest {
  @TempDir private Path folder;

  @Test
  void measuresEveryEncodingAndDrawsThem() throws Exception {
    Path plot = folder.resolve("plots/labels.svg");
    Result result =
        new LabelsBenchmark(new LabelsBenchmark.Size(3000, 6, 2, 2, 1))
            .run(BenchmarkOptions.of(true).withPlot(plot), new PrintWriter(Writer.nullWriter()));
    assertThat(result.figures())
        .containsKeys(
            "topk50_bytes_per_token",
            "sampled50_bytes_per_token",
            "reconstruction_kl",
            "decode_tokens_per_second");
    assertThat(result.figures().get("topk50_bytes_per_token").value()).isPositive();
    assertThat(result.figures().get("reconstruction_kl").value()).isBetween(0.0, 5e-3);
    Result.Table table = result.tables().get(0);
    assertThat(table.rows()).hasSize(3 * Encoding.ALL.size());
    table.rows().forEach(row -> assertThat(row).hasSameSizeAs(table.columns()));

    Document svg = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(plot.toFile());
    assertThat(svg.getDocumentElement().getTagName()).isEqualTo("svg");
    assertThat(svg.getElementsByTagName("circle").getLength()).isGreaterThan(Encoding.ALL.size());
  }

  @Test
  void boundOfIdsIsThatOfTheCombinations() {
    // 3 of 10 can be chosen in 120 ways.
    assertThat(Published.boundOfIds(10, 3))
        .isCloseTo(Math.log(120) / Math.log(2) / 8, within(1e-12));
    assertThat(Published.boundOfIds(151_936, 50)).isBetween(80.0, 82.0);
  }
}
