package io.reflux.monitor.view;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.operations.Series;
import io.reflux.schemas.avro.AlertState;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.avro.ServiceStatus;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.avro.TrainingProgress;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class LoopFoldTest {
  private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");

  private final LoopFold fold = new LoopFold("stable");

  private void status(int second, Instant startedAt, String state, double total) {
    fold.status(
        new ServiceStatus(
            "scorer",
            "i",
            START.plusSeconds(second),
            startedAt,
            state,
            "",
            Map.of("scored_total", total, "queue", 40.0 - second)));
  }

  private LoopState at(int second) {
    return fold.state(START.plusSeconds(second));
  }

  @Test
  void ratesAreOfTheLastSecondsAndOnlyOfWhatGrows() {
    for (int second = 0; second <= 30; second++) {
      status(second, START, "running", second < 20 ? 0 : (second - 20) * 7);
    }
    LoopState state = at(30);
    assertThat(state.rate("scorer", "scored_total")).hasValue(7);
    assertThat(state.rate("scorer", "queue")).isEmpty();
    assertThat(state.metric("scorer", "scored_total")).hasValue(70);
    assertThat(state.metric("mirror", "scored_total")).isEmpty();
  }

  @Test
  void aRestartDoesNotGiveANegativeOrHugeRate() {
    status(0, START, "running", 900);
    status(1, START, "running", 1000);
    status(2, START.plusSeconds(2), "running", 5);
    status(3, START.plusSeconds(2), "running", 8);
    assertThat(at(3).rate("scorer", "scored_total")).hasValue(3);
  }

  @Test
  void whoSaysNothingIsSilentUnlessItSaidThatItStopped() {
    status(0, START, "running", 1);
    assertThat(at(9).live("scorer")).hasSize(1);
    assertThat(at(11).services().get(0).silent()).isTrue();
    assertThat(at(11).live("scorer")).isEmpty();
    status(12, START, "stopped", 1);
    assertThat(at(60).services().get(0).silent()).isFalse();
    assertThat(at(60).live("scorer")).isEmpty();
    assertThat(at(700).services()).as("forgotten").isEmpty();
  }

  private static SnapshotPointer pointer(String channel, long version) {
    return SnapshotPointer.newBuilder()
        .setChannel(channel)
        .setVersion(version)
        .setManifestSha256("")
        .setMovedAt(START)
        .setReason("")
        .build();
  }

  @Test
  void followsOnlyItsChannel() {
    fold.pointer(pointer("canary", 9));
    assertThat(at(0).servedVersion()).isEmpty();
    fold.pointer(pointer("stable", 3));
    assertThat(at(0).servedVersion()).hasValue(3);
    assertThat(at(0).servedSnapshot()).as("no manifest known").isEmpty();
  }

  @Test
  void theLastMeasuredValidationAgreementStands() {
    progress(1, Map.of("validation_agreement", 0.4));
    progress(2, Map.of());
    LoopState.TrainingState training = at(2).training().orElseThrow();
    assertThat(training.validationAgreement()).hasValue(0.4);
    assertThat(training.points().get(1).validationAgreement()).isNaN();
  }

  private void progress(int second, Map<String, Double> metrics) {
    fold.progress(
        new TrainingProgress(
            "s",
            START.plusSeconds(second),
            1L,
            1L,
            Stage.ON_DATA,
            1.0,
            1e-3,
            1.0,
            1.0,
            0.0,
            metrics));
  }

  @Test
  void alertsAreActiveUntilCleared() {
    fold.alert(alert("a@1", AlertState.RAISED));
    fold.alert(alert("b@1", AlertState.RAISED));
    fold.alert(alert("a@1", AlertState.CLEARED));
    LoopState state = at(0);
    assertThat(state.activeAlerts()).extracting(DriftAlert::getAlertId).containsExactly("b@1");
    assertThat(state.alerts()).hasSize(3);
    assertThat(state.alertsRaised()).isEqualTo(2);
    assertThat(state.alertsCleared()).isEqualTo(1);
  }

  private static DriftAlert alert(String id, AlertState state) {
    return new DriftAlert(id, "a", state, "kl_mean", 1.0, 0.3, START, 1L, "");
  }

  @Test
  void segmentsAreBoundedAndAllTrafficIsFirstAndNeverMakesRoom() {
    report("*", 0);
    for (int i = 0; i < 200; i++) {
      report("segment-" + i, i + 1);
    }
    LoopState state = at(0);
    assertThat(state.drift()).hasSize(LoopFold.SEGMENTS).containsKey("segment-199");
    assertThat(state.drift().keySet().iterator().next()).isEqualTo("*");
    assertThat(state.latestDrift()).isPresent();
  }

  private void report(String segment, int second) {
    fold.report(
        new DriftReport(
            segment, START, START.plusSeconds(second), 1L, 1L, 1L, 0.1, 0.0, 0.1, 1.0, 1.0, 0.5));
  }

  @Property(tries = 50)
  void aSeriesKeepsItsBoundItsEndsAndItsOrder(
      @ForAll @IntRange(min = 4, max = 50) int bound,
      @ForAll @IntRange(min = 1, max = 2000) int n) {
    Series<Integer> series = new Series<>(bound);
    for (int i = 0; i < n; i++) {
      series.add(i);
    }
    List<Integer> points = series.points();
    assertThat(points).hasSizeLessThanOrEqualTo(bound).isSorted().doesNotHaveDuplicates();
    assertThat(points).startsWith(0).endsWith(n - 1);
  }
}
