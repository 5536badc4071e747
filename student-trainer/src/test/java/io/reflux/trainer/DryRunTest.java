package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.DryRun.Line;
import io.reflux.trainer.nn.GemmPeak;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DryRunTest {
  @TempDir private static Path shared;
  @TempDir private Path data;

  @BeforeAll
  static void aTeacher() throws IOException {
    LabelMaker.make(shared.resolve("teacher"));
  }

  private TrainerConfig config(Map<String, String> changes) {
    Map<String, String> settings = new HashMap<>();
    settings.put("teacher", shared.resolve("teacher").toString());
    settings.put("student", "hidden=16,layers=1,heads=2,kv-heads=1,ffn=32");
    settings.put("batch-tokens", "128");
    settings.put("data-dir", data.toString());
    settings.putAll(changes);
    return Settings.of(settings);
  }

  private static String text(List<Line> lines, String name) {
    return lines.stream()
        .filter(line -> line.name().equals(name))
        .map(Line::text)
        .collect(Collectors.joining());
  }

  @Test
  void saysWhatItWouldDoAndTouchesNothing() throws IOException {
    DryRun.Plan plan = DryRun.of(config(Map.of("lambda", "0.5")));

    assertThat(text(plan.lines(), "student")).contains("of a new shape", "1 layers, width 16");
    assertThat(text(plan.lines(), "start")).contains("anew at step 0");
    assertThat(text(plan.lines(), "stages")).contains("0.5");
    assertThat(text(plan.lines(), "memory"))
        .contains("weights", "moments", "activations", "logits");
    assertThat(text(plan.lines(), "speed")).contains("tokens/s", "GFLOP/s", "cpu");
    assertThat(text(plan.lines(), "gate")).contains("'stable'");
    assertThat(text(plan.lines(), "compression")).isEqualTo("int8, rounded to nearest");
    assertThat(text(plan.lines(), "reads")).isEqualTo("soft-labels, rollout-labels");
    assertThat(text(plan.lines(), "writes")).contains("rollouts", "snapshots", "training-progress");
    assertThat(plan.warnings()).isEmpty();
    try (Stream<Path> files = Files.list(data)) {
      assertThat(files).isEmpty();
    }
  }

  @Test
  void saysWhatSnapshotsAreCalibratedOn() {
    DryRun.Plan plan =
        DryRun.of(
            config(
                Map.of(
                    "snapshot-format",
                    "int4",
                    "quantisation-method",
                    "gptq",
                    "prune",
                    "neurons:0.5@9")));

    assertThat(text(plan.lines(), "compression"))
        .startsWith("int4 by gptq on the newest 24,576 tokens, a token counting half after 8,192; ")
        .endsWith(" while it is made; cut neurons:0.5@9");
  }

  @Test
  void whatDoesNotFitIsAWarning() {
    TrainerConfig large =
        config(Map.of("student", "hidden=2048,layers=8,heads=16,kv-heads=16,ffn=8192"));
    DryRun.Plan plan = DryRun.of(large, OptionalLong.of(8L << 30));

    assertThat(plan.warnings()).anySatisfy(warning -> assertThat(warning).startsWith("memory: "));
    assertThat(text(plan.lines(), "speed")).startsWith("not measured");
  }

  @Test
  void mistakesAreTheirOneLine() {
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> DryRun.of(config(Map.of("learning-rate", "7"))))
        .withMessage("reflux.train.learning-rate: 7.0 (expected: above 0, below 1)");
    String huge = "hidden=16384,layers=64,heads=64,kv-heads=64,ffn=65536";
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> DryRun.of(config(Map.of("student", huge))))
        .withMessageMatching(
            "reflux.train.student: \\d+ weights \\(expected: up to 2147483647, .*\\)");
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> DryRun.of(config(Map.of("teacher", data.resolve("none").toString()))))
        .withMessageContaining("none")
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
  }

  @Test
  void thePeakIsMeasuredSoonAndIsPlausible() {
    long started = System.nanoTime();
    double peak = GemmPeak.measure("cpu", 1, Duration.ofMillis(50));

    assertThat(peak).isBetween(1e8, 1e15);
    assertThat(Duration.ofNanos(System.nanoTime() - started)).isLessThan(Duration.ofSeconds(30));
  }
}
