package io.reflux.trainer.watch;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunWatchTest {
  private static final Map<String, String> SETTINGS = Map.of("reflux.train.seed", "42");

  @TempDir private Path data;

  private RunWatch open(OptionalLong resumed) {
    return RunWatch.open("desk", data, resumed, SETTINGS);
  }

  private static JsonNode json(RunWatch watch) throws IOException {
    return new JsonMapper().readTree(RunJson.of(watch.view()));
  }

  @Test
  void aResumedRunIsOneCurve() {
    try (RunWatch watch = open(OptionalLong.empty())) {
      watch.record(Reports.at(10));
      watch.record(Reports.at(20));
      watch.happened(Happening.Kind.HELD_BACK, 20, "worse");
    }
    try (RunWatch watch = open(OptionalLong.of(10))) {
      watch.record(Reports.at(15));

      RunView view = watch.view();
      assertThat(view.points()).extracting(Report::step).containsExactly(10L, 15L);
      assertThat(view.gate()).isEmpty();
      assertThat(view.happenings())
          .extracting(Happening::text)
          .containsExactly("Began", "Resumed from the checkpoint of step 10");
    }
  }

  @Test
  void aLongRunKeepsItsEndsInBoundedMemory() throws IOException {
    try (RunWatch watch = open(OptionalLong.empty())) {
      for (long step = 1; step <= 3 * RunWatch.POINTS; step++) {
        watch.record(Reports.at(step));
        watch.happened(Happening.Kind.PUBLISHED, step, "snapshot");
      }

      RunView view = watch.view();
      assertThat(view.points()).hasSizeLessThanOrEqualTo(RunWatch.POINTS);
      assertThat(view.points().get(0).step()).isEqualTo(1);
      assertThat(view.points().get(view.points().size() - 1).step()).isEqualTo(3 * RunWatch.POINTS);
      assertThat(view.gate()).hasSize(RunWatch.HAPPENINGS);
      assertThat(json(watch).toString().length()).isLessThan(200_000);
    }
  }

  @Test
  void theJsonHasEveryPartAndNoNumberForTheUnknown() throws IOException {
    try (RunWatch watch = open(OptionalLong.empty())) {
      JsonNode empty = json(watch);
      assertThat(empty.has("now")).isFalse();
      assertThat(empty.path("series").path("step")).isEmpty();

      watch.record(Reports.at(10));
      watch.happened(Happening.Kind.PUBLISHED, 10, "Snapshot 1");
      watch.live(Reports.at(11));

      JsonNode json = json(watch);
      assertThat(json.path("student").asText()).isEqualTo("desk");
      assertThat(json.path("run").asText()).matches("\\d{8}-\\d{6}");
      assertThat(json.path("started_at").isIntegralNumber()).isTrue();
      JsonNode now = json.path("now");
      assertThat(now.path("step").asLong()).isEqualTo(11);
      assertThat(now.path("stage").asText()).isEqualTo("on_data");
      assertThat(now.path("bottleneck").asText()).isEqualTo("labels, from the \"teacher\"");
      assertThat(now.path("figures").path("loss").asDouble()).isEqualTo(1.0 / 12);
      assertThat(now.path("figures").has("kl")).isFalse();
      assertThat(now.path("slices").path("segment").path("faq, short").path("share").asDouble())
          .isEqualTo(0.25);
      JsonNode series = json.path("series");
      List<String> columns = new ArrayList<>();
      series.fieldNames().forEachRemaining(columns::add);
      assertThat(columns).containsExactly("at", "step", "loss", "validation_agreement");
      columns.forEach(column -> assertThat(series.path(column)).as(column).hasSize(1));
      assertThat(json.path("gate").get(0).path("kind").asText()).isEqualTo("published");
      assertThat(json.path("happenings")).hasSize(2);
      assertThat(json.path("settings").path("reflux.train.seed").asText()).isEqualTo("42");
      for (Figure figure : Figure.values()) {
        JsonNode entry = json.path("catalogue").path(figure.key());
        assertThat(entry.path("help").asText()).as(figure.key()).isNotEmpty();
      }
    }
  }

  @Test
  void filesThatCannotBeWrittenDoNotStopAnything() throws IOException {
    Files.writeString(data.resolve("runs"), "in the way");
    try (RunWatch watch = open(OptionalLong.empty())) {
      watch.record(Reports.at(10));
      watch.happened(Happening.Kind.NOTE, 10, "still here");

      assertThat(watch.view().points()).hasSize(1);
      assertThat(watch.view().run()).isEmpty();
    }
  }

  @Test
  void whatTheNewestReportDoesNotKnowIsAsLastKnown() {
    try (RunWatch watch = open(OptionalLong.empty())) {
      watch.live(Reports.at(10));
      watch.live(
          new Report(
              Reports.START, 10, 1000, "on_data", "", Map.of(Figure.LABELS_LAG, 3.0), Map.of()));

      Report latest = watch.view().latest().orElseThrow();
      assertThat(latest.figure(Figure.LOSS)).hasValue(1.0 / 11);
      assertThat(latest.figure(Figure.LABELS_LAG)).hasValue(3);
      assertThat(latest.figure(Figure.KL)).isEmpty();
      assertThat(latest.slices()).containsKey(Reports.SEGMENT);
    }
  }
}
