package io.reflux.inspect;

import static io.reflux.inspect.LabelRecords.TOKENIZER;
import static io.reflux.inspect.LabelRecords.received;
import static io.reflux.inspect.LabelRecords.record;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.schemas.service.RefluxException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.stream.Collectors;
import org.jline.utils.AttributedString;
import org.junit.jupiter.api.Test;

/** What stands on the page, column by column. */
class LabelPageTest {
  private static final TokenText TEXT = TokenText.of(TOKENIZER);

  @Test
  void topKShowsProbabilityRankEntropyTailAndOthers() {
    List<String> lines = lines(record("r-1", LabelRecords.topK()).build(), 120);
    assertThat(lines.get(0)).isEqualTo("--topic soft-labels --at 2:17");
    assertThat(lines)
        .contains(
            "request      r-1",
            "segment      orders",
            "requested    2026-01-02 03:04:05.678 UTC, scored 0.50 s later",
            "labels       topk, the 3 likeliest of 1,024 ids, at temperature 1",
            "prompt       where is",
            "response      my order");
    assertThat(lines).anyMatch(line -> line.matches("bytes +[\\d,]+, [\\d.]+ a token, format \\d"));
    assertThat(lines)
        .anyMatch(line -> line.matches("teacher +0123456789ab…  tokenizer \\w{12}….* none"));
    assertThat(table(lines).get(1))
        .matches(
            " *\\d+  ␣my +0\\.(?:50|49)\\d +1  █████ +1\\.25   0\\.12\\d  ␣the 0\\.25\\d  ␣your 0\\.12\\d");
    assertThat(table(lines).get(2))
        .matches(
            " *\\d+  ␣order +0\\.06\\d +>3  ▋ +\\?       \\?  ␣the 0\\.(?:50|49)\\d  ␣my +0\\.25\\d  ! 0.*");
    assertThat(lines.get(lines.size() - 1))
        .matches(
            "2 positions, perplexity 5\\.[67]\\d, entropy \\(H\\) 1\\.2[45]\\d nats on average, the"
                + " likeliest token stands at 1");
  }

  @Test
  void idsTooUnlikelyToBeToldApartShowABound() {
    int[] response = LabelRecords.response();
    float sure = (float) Math.log(0.99);
    float tail = (float) Math.log(0.01);
    int the = LabelRecords.id(" the");
    TopKBlock block =
        new TopKBlock(
            2,
            2,
            new int[] {response[0], the, response[1], the},
            new float[] {sure, -14, sure, -10},
            new float[] {tail, tail},
            new float[] {sure, sure},
            new float[] {0.1f, 0.1f});
    List<String> table = table(lines(record("r", block).build(), 120));
    assertThat(table.get(1)).endsWith("␣the <2e-4");
    assertThat(table.get(2)).endsWith("␣the <2e-4");
  }

  @Test
  void drawsShowCounts() {
    List<String> lines = lines(record("r-1", LabelRecords.sampled()).build(), 120);
    assertThat(lines)
        .contains("labels       sampled, 4 draws with replacement of 1,024 ids, at temperature 1");
    assertThat(table(lines).get(0)).contains("DRAWN").doesNotContain("TAIL");
    assertThat(table(lines).get(1))
        .matches(" *\\d+  ␣my +0\\.(?:50|49)\\d +3×  █████ +1\\.25  ␣the 1×");
    assertThat(table(lines).get(2)).matches(" *\\d+  ␣order +0\\.06\\d +0×  ▋ +0\\.50  ␣the 4×");
  }

  @Test
  void supportTakesItsIdsFromTheRollout() throws SoftLabelFormatException {
    LabelReading reading = LabelReading.of(received(record("r", LabelRecords.support()).build()));
    List<String> without = strings(page(120).lines(reading));
    assertThat(without)
        .contains(
            "labels       support, log-probs of 2 ids of a rollout that was not found, of 1,024 ids,"
                + " at temperature 1");
    assertThat(table(without).get(1)).containsPattern("  \\? 0\\.50\\d  \\? 0\\.25\\d");

    List<String> found = strings(page(120).lines(reading.withSupport(LabelRecords.supportIds())));
    assertThat(table(found).get(1))
        .matches(" *\\d+  ␣my +0\\.(?:50|49)\\d +1  .*0\\.25\\d  ␣the 0\\.25\\d");
    assertThat(table(found).get(2))
        .matches(" *\\d+  ␣order +0\\.06\\d +2  .*0\\.1\\d+  ! +0\\.7\\d+");
    assertThatThrownBy(() -> reading.withSupport(new int[4]))
        .isInstanceOf(SoftLabelFormatException.class);
  }

  @Test
  void positionsThatDoNotCountAreMarked() {
    List<String> lines =
        lines(
            record("r", LabelRecords.topK()).setLossMask(ByteBuffer.wrap(new byte[] {1})).build(),
            120);
    assertThat(lines).anyMatch(line -> line.contains("the loss mask leaves out 1, marked ×"));
    assertThat(table(lines).get(1)).doesNotContain("×");
    assertThat(table(lines).get(2)).matches(" *\\d+× ␣order.*");
    assertThat(lines.get(lines.size() - 1)).matches("1 position, perplexity (2\\.0|1\\.9)\\d.*");
  }

  @Test
  void linesKeepToTheWidthAndColumnsToTheirPlace() {
    SoftLabels labels =
        record("request with \u001b[31m and 漢字 ".repeat(9), LabelRecords.topK()).build();
    for (int width : new int[] {40, 60, 80, 200}) {
      List<String> lines = lines(labels, width);
      assertThat(lines).allMatch(line -> TokenText.width(line) <= width);
      List<String> table = table(lines);
      int bar = table.get(0).indexOf("0        1");
      if (bar > 0) {
        assertThat(table.get(1).substring(0, bar)).endsWith("  ");
        assertThat(table.get(2).substring(0, bar)).endsWith("  ");
      }
      assertThat(String.join("", lines)).doesNotContain("\u001b");
    }
  }

  @Test
  void coloursAreForTerminalsOnly() {
    List<AttributedString> lines =
        page(100).lines(LabelReading.of(received(record("r", LabelRecords.topK()).build())));
    assertThat(lines.stream().map(AttributedString::toAnsi).collect(Collectors.joining()))
        .contains("\u001b[32m");
    assertThat(String.join("", strings(lines))).doesNotContain("\u001b");
  }

  @Test
  void withoutATokenizerThereAreIds() {
    LabelPage page = new LabelPage("soft-labels", TokenText.ids(), 5, 120);
    List<String> lines =
        strings(page.lines(LabelReading.of(received(record("r", LabelRecords.topK()).build()))));
    assertThat(table(lines).get(1)).contains("  #" + LabelRecords.response()[0] + " ");
    assertThat(lines).noneMatch(line -> line.startsWith("prompt"));
  }

  @Test
  void labelsThatAreNotOfTheirSequenceAreNamed() {
    SoftLabels.Builder longer = record("r", LabelRecords.topK());
    longer.setPromptLength(longer.getPromptLength() - 1);
    assertThatThrownBy(() -> LabelReading.of(received(longer.build())))
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith("labels: 2 rows (expected: 3");
    SoftLabels masked =
        record("r", LabelRecords.topK()).setLossMask(ByteBuffer.wrap(new byte[2])).build();
    assertThatThrownBy(() -> LabelReading.of(received(masked)))
        .hasMessage("loss_mask: 2 bytes (expected: 1, for 2 rows)");
  }

  @Test
  void anEmptyResponseSaysSo() {
    SoftLabels.Builder empty =
        record(
            "r",
            new TopKBlock(
                0, 1, new int[0], new float[0], new float[0], new float[0], new float[0]));
    empty.setPromptLength(empty.getTokenIds().size());
    assertThat(lines(empty.build(), 100)).contains("no labelled positions: the response is empty");
  }

  private static LabelPage page(int width) {
    return new LabelPage("soft-labels", TEXT, 5, width);
  }

  private static List<String> lines(SoftLabels labels, int width) {
    return strings(page(width).lines(LabelReading.of(received(labels))));
  }

  private static List<String> strings(List<AttributedString> lines) {
    return lines.stream().map(AttributedString::toString).toList();
  }

  /** Titles and positions. */
  private static List<String> table(List<String> lines) {
    List<String> table = lines.stream().dropWhile(line -> !line.contains("POS")).limit(3).toList();
    assertThat(table).hasSize(3);
    return table;
  }
}
