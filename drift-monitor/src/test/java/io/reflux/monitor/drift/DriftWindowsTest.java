package io.reflux.monitor.drift;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.schemas.avro.AlertState;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.processor.api.MockProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The processor alone, as it is when another instance takes its stores over. */
class DriftWindowsTest {
  private static final Instant EPOCH = Instant.parse("2026-01-01T00:00:00Z");
  private static final DriftOptions OPTIONS =
      new DriftOptions(
          Duration.ofSeconds(10),
          Duration.ofSeconds(2),
          10,
          new AlertOptions(0.3, 0.2, 2, 2, 3, 2));

  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private final MockProcessorContext<String, SpecificRecord> context = new MockProcessorContext<>();
  private DriftWindows windows;

  @BeforeEach
  void start() {
    store(DriftWindows.WINDOWS, WindowSums.serde());
    store(DriftWindows.STANDINGS, Standing.serde());
    store(DriftWindows.CLOCK, Serdes.Long());
    restart();
  }

  private <V> void store(String name, Serde<V> serde) {
    KeyValueStore<String, V> store =
        Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(name), Serdes.String(), serde)
            .withLoggingDisabled()
            .build();
    store.init(context.getStateStoreContext(), store);
    context.addStateStore(store);
  }

  private void restart() {
    windows = new DriftWindows(OPTIONS, meters);
    context.setCurrentSystemTimeMs(EPOCH.plusSeconds(60).toEpochMilli());
    windows.init(context);
  }

  private void request(int second, double klMean) {
    Divergence divergence =
        Divergence.newBuilder()
            .setRequestId("r")
            .setSegment("a")
            .setRequestedAt(EPOCH.plusSeconds(second))
            .setStudentVersion(3)
            .setTeacherFingerprint("t")
            .setPositions(10)
            .setKlSum(10 * klMean)
            .setKlMax(klMean)
            .setAgreements(9)
            .setAcceptanceSum(9)
            .setEntropySum(5)
            .build();
    windows.process(new Record<>("a", divergence, 0));
  }

  /** Two ticks, in which nothing stands still for long. */
  private void settle() {
    tick();
    tick();
  }

  private void tick() {
    List<MockProcessorContext.CapturedPunctuator> all = context.scheduledPunctuators();
    all.get(all.size() - 1).getPunctuator().punctuate(context.currentSystemTimeMs());
  }

  private void window(int index, double klMean) {
    request(index * 10 + 4, klMean);
    request(index * 10 + 6, klMean);
    settle();
  }

  private <T extends SpecificRecord> List<T> forwarded(Class<T> type) {
    List<T> values =
        context.forwarded().stream()
            .map(forward -> (Object) forward.record().value())
            .filter(type::isInstance)
            .map(type::cast)
            .toList();
    context.resetForwards();
    return values;
  }

  @Test
  void keepsArmingStreaksAndOpenWindowsOverARestart() {
    window(0, 0.1);
    window(1, 0.1);
    window(2, 0.1);
    window(3, 0.5);
    request(44, 0.6);
    forwarded(DriftReport.class);

    restart();
    request(46, 0.6);
    request(54, 0.1);
    settle();

    List<DriftReport> reports =
        context.forwarded().stream()
            .map(forward -> (Object) forward.record().value())
            .filter(DriftReport.class::isInstance)
            .map(DriftReport.class::cast)
            .toList();
    assertThat(reports).extracting(DriftReport::getRequests).containsExactly(2L, 2L, 2L, 2L);
    assertThat(forwarded(DriftAlert.class))
        .extracting(DriftAlert::getSegment, DriftAlert::getState)
        .containsExactly(tuple("a", AlertState.RAISED), tuple("*", AlertState.RAISED));
  }

  @Test
  void reportsNoWindowTwiceAfterARestart() {
    window(0, 0.1);
    request(12, 0.1);
    settle();
    assertThat(forwarded(DriftReport.class)).hasSize(2);

    restart();
    request(5, 0.1);
    request(30, 0.1);
    settle();

    assertThat(meters.counter("drift_late_requests_total").count()).isEqualTo(1);
    assertThat(forwarded(DriftReport.class))
        .allSatisfy(report -> assertThat(report.getWindowStart()).isEqualTo(EPOCH.plusSeconds(10)));
  }

  @Test
  void closesOpenWindowsAfterARestartWithoutTraffic() {
    window(0, 0.1);
    restart();
    context.setCurrentSystemTimeMs(EPOCH.plusSeconds(80).toEpochMilli());
    tick();
    assertThat(forwarded(DriftReport.class))
        .extracting(DriftReport::getSegment)
        .containsExactly("a", "*");
  }
}
