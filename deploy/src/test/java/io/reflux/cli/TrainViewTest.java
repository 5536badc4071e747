package io.reflux.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.trainer.watch.Figure;
import io.reflux.trainer.watch.Happening;
import io.reflux.trainer.watch.Report;
import io.reflux.trainer.watch.RunView;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jline.utils.AttributedString;
import org.junit.jupiter.api.Test;

class TrainViewTest {
  private static final Instant AT = Instant.parse("2026-01-01T00:00:00Z");

  private static RunView run(Map<Figure, Double> figures, String bottleneck, Happening... gate) {
    Report report = new Report(AT, 1234, 56_789, "on_policy", bottleneck, figures, Map.of());
    return new RunView(
        "desk", "", AT, Map.of(), Optional.of(report), List.of(report), List.of(), List.of(gate));
  }

  @Test
  void whatIsKnownIsOnOneLineAndNothingElse() {
    RunView run =
        run(
            Map.of(
                Figure.LOSS, 0.25,
                Figure.VALIDATION_AGREEMENT, 0.912,
                Figure.LEARNING_RATE, 0.002,
                Figure.TOKENS_PER_SECOND, 2345.0),
            "teacher scoring",
            new Happening(AT, 1200, Happening.Kind.HELD_BACK, "worse"));

    assertThat(TrainView.oneLine(run))
        .isEqualTo(
            "step 1,234  on-policy  loss 0.250  agreement 91.2 %  lr 2.0e-03  2,345 tokens/s  held"
                + " back by teacher scoring  held back at step 1200");
  }

  @Test
  void theScreenShowsADashForTheUnknown() {
    List<String> lines =
        TrainView.lines(run(Map.of(Figure.LOSS, 0.25), ""), Duration.ofSeconds(3723), "http://x:1/")
            .stream()
            .map(AttributedString::toString)
            .toList();

    assertThat(lines.get(0)).isEqualTo("Reflux trainer  desk  1:02:03  on-policy");
    assertThat(lines.get(1)).contains("1,234   56,789 tokens   – tokens/s   MFU –");
    assertThat(lines.get(2)).contains("0.250   gradient norm –   lr –");
    assertThat(lines.get(4)).contains("λ – of –");
    assertThat(lines.get(lines.size() - 1)).contains("page http://x:1/");
  }

  @Test
  void beforeTheFirstReportItWaits() {
    RunView empty =
        new RunView("desk", "", AT, Map.of(), Optional.empty(), List.of(), List.of(), List.of());

    assertThat(TrainView.oneLine(empty)).isEqualTo("waiting for the first labels");
    assertThat(TrainView.lines(empty, Duration.ZERO, "")).hasSize(3);
  }
}
