package io.reflux.trainer.watch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.watch.EventRecords.Event;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunFilesTest {
  private static final Map<String, String> SETTINGS = Map.of("reflux.train.seed", "42");

  @TempDir private Path data;

  private RunFiles open(OptionalLong resumed) throws IOException {
    return RunFiles.open(data, resumed, Reports.START, SETTINGS);
  }

  private List<Report> read() {
    List<Report> reports = new ArrayList<>();
    RunReader.reports(RunReader.find(data), reports::add);
    return reports;
  }

  private Path run() throws IOException {
    return RunFiles.newest(data).orElseThrow();
  }

  private List<Event> events() throws IOException {
    List<Event> events = new ArrayList<>();
    try (Stream<Path> files = Files.list(run())) {
      List<Path> sorted =
          files.filter(f -> f.getFileName().toString().startsWith("events.out")).sorted().toList();
      for (Path file : sorted) {
        events.addAll(EventRecords.read(file));
      }
    }
    return events;
  }

  @Test
  void whatIsWrittenIsReadAgainAndTheUnknownStaysUnknown() throws IOException {
    try (RunFiles files = open(OptionalLong.empty())) {
      files.add(Reports.at(10));
      files.add(Reports.at(20));
      files.add(new Happening(Reports.START, 20, Happening.Kind.HELD_BACK, "worse,\n by \"far\""));
    }

    assertThat(read()).extracting(Report::step).containsExactly(10L, 20L);
    Report first = read().get(0);
    assertThat(first.at()).isEqualTo(Reports.at(10).at());
    assertThat(first.tokens()).isEqualTo(1000);
    assertThat(first.stage()).isEqualTo("on_data");
    assertThat(first.bottleneck()).isEqualTo("labels, from the \"teacher\"");
    assertThat(first.figure(Figure.LOSS).getAsDouble()).isCloseTo(1.0 / 11, within(1e-7));
    assertThat(first.figures()).containsOnlyKeys(Figure.LOSS, Figure.VALIDATION_AGREEMENT);
    assertThat(Files.readAllLines(run().resolve("metrics.csv")).get(1)).contains(",,");
    assertThat(Files.readAllLines(run().resolve("slices.csv")))
        .containsExactly(
            "time,step,by,name,figure,value",
            "2026-01-01T00:00:10Z,10,segment,\"faq, short\",share,0.25",
            "2026-01-01T00:00:20Z,20,segment,\"faq, short\",share,0.25");
    assertThat(run().resolve("settings-0.properties")).hasContent("reflux.train.seed=42");
    List<Happening> happenings = new ArrayList<>();
    RunReader.happenings(run(), happenings::add);
    assertThat(happenings)
        .containsExactly(
            new Happening(Reports.START, 20, Happening.Kind.HELD_BACK, "worse, by \"far\""));
  }

  @Test
  void stepsDoneAgainAfterAKillDoNotDouble() throws IOException {
    try (RunFiles files = open(OptionalLong.empty())) {
      for (long step = 10; step <= 50; step += 10) {
        files.add(Reports.at(step));
      }
    }
    Path run = run();
    try (RunFiles files = open(OptionalLong.of(30))) {
      files.add(Reports.at(35));
      files.add(Reports.at(45));
    }

    assertThat(run()).isEqualTo(run);
    assertThat(read()).extracting(Report::step).containsExactly(10L, 20L, 30L, 35L, 45L);
    assertThat(Files.readAllLines(run.resolve("slices.csv"))).hasSize(6);
    // TensorBoard forgets what it read of a step and later ones at the start of a session there.
    assertThat(events())
        .filteredOn(Event::isStart)
        .extracting(Event::step)
        .containsExactly(1L, 31L);
    assertThat(EventRecords.asShown(events(), "loss/loss"))
        .containsOnlyKeys(10L, 20L, 30L, 35L, 45L)
        .containsEntry(35L, (float) (1.0 / 36));
  }

  @Test
  void aTornLastLineIsPassedOverAndThenCutOff() throws IOException {
    try (RunFiles files = open(OptionalLong.empty())) {
      files.add(Reports.at(10));
    }
    Path metrics = run().resolve("metrics.csv");
    String whole = Files.readString(metrics);
    Files.writeString(metrics, "2026-01-01T00:00:20Z,2", StandardOpenOption.APPEND);

    assertThat(read()).extracting(Report::step).containsExactly(10L);
    try (RunFiles files = open(OptionalLong.of(15))) {
      assertThat(metrics).hasContent(whole);
      files.add(Reports.at(20));
    }
    assertThat(read()).extracting(Report::step).containsExactly(10L, 20L);
  }

  @Test
  void blocksThatNeverReachedTheDiskAreCutOff() throws IOException {
    try (RunFiles files = open(OptionalLong.empty())) {
      files.add(Reports.at(10));
    }
    Files.write(
        run().resolve("metrics.csv"),
        ("\0".repeat(40) + "\n").getBytes(),
        StandardOpenOption.APPEND);

    try (RunFiles files = open(OptionalLong.of(15))) {
      files.add(Reports.at(20));
    }
    assertThat(read()).extracting(Report::step).containsExactly(10L, 20L);
  }

  @Test
  void otherColumnsAreKeptBesideAndStayPartOfTheCurve() throws IOException {
    try (RunFiles files = open(OptionalLong.empty())) {
      files.add(Reports.at(10));
    }
    String kept = "time,step,loss,of_an_older_build\n2026-01-01T00:00:05Z,5,0.5,1\n";
    String old = kept + "2026-01-01T00:00:25Z,25,0.25,1\n";
    Files.writeString(run().resolve("metrics.csv"), old);

    try (RunFiles files = open(OptionalLong.of(20))) {
      files.add(Reports.at(30));
    }
    assertThat(read()).extracting(Report::step).containsExactly(5L, 30L);
    assertThat(run().resolve("metrics-1.csv")).hasContent(kept);
  }

  @Test
  void anotherStudentIsAnotherRun() throws IOException {
    open(OptionalLong.empty()).close();
    RunFiles.open(data, OptionalLong.empty(), Reports.START.plusSeconds(60), SETTINGS).close();

    assertThat(run().getFileName()).hasToString("20260101-000100");
    try (Stream<Path> runs = Files.list(data.resolve("runs"))) {
      assertThat(runs).hasSize(2);
    }
  }

  @Test
  void eventsHoldTheirHelpOnceAndTheirTime() throws IOException {
    try (RunFiles files = open(OptionalLong.empty())) {
      files.add(Reports.at(10));
      files.add(Reports.at(20));
    }

    List<Event> events = events();
    assertThat(events.get(0).fileVersion()).isEqualTo("brain.Event:2");
    List<Event> scalars = events.stream().filter(e -> !e.scalars().isEmpty()).toList();
    assertThat(scalars).hasSize(2);
    assertThat(scalars.get(0).wallTime())
        .isEqualTo(Instant.parse("2026-01-01T00:00:10Z").getEpochSecond());
    assertThat(scalars.get(0).scalars())
        .containsOnlyKeys(
            "loss/loss", "agreement/validation_agreement", "segment_share/faq, short");
    assertThat(scalars.get(0).descriptions())
        .containsEntry("loss/loss", Figure.LOSS.help())
        .hasSize(3);
    assertThat(scalars.get(1).descriptions()).isEmpty();
  }

  @Test
  void whatIsNoRunIsNamed() throws IOException {
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> RunReader.find(data))
        .withMessage(
            "run: %s (expected: a trainer's data directory, a run in its runs/, or a metrics.csv)",
            data);
    Path other = Files.writeString(data.resolve("other.csv"), "a,b\n1,2\n");
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> RunReader.reports(RunReader.find(other), report -> {}))
        .withMessage("run: %s: columns [a, b] (expected: time and step among them)", other);
  }
}
