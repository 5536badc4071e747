package io.reflux.monitor.drift;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.schemas.avro.AlertState;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Properties;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DriftTopologyTest {
  private static final Instant EPOCH = Instant.parse("2026-01-01T00:00:00Z");
  private static final AlertOptions ALERT = new AlertOptions(0.3, 0.2, 2, 2, 3, 2);
  private static final DriftOptions OPTIONS =
      new DriftOptions(Duration.ofSeconds(10), Duration.ofSeconds(2), 3, ALERT);

  @TempDir Path stateDir;
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private double wallSeconds;
  private StubRegistry registry;
  private KafkaClients clients;
  private TopologyTestDriver driver;
  private TestInputTopic<String, byte[]> input;
  private TestOutputTopic<String, DriftReport> reports;
  private TestOutputTopic<String, DriftAlert> alerts;
  private TestOutputTopic<String, DeadLetter> dead;

  @BeforeEach
  void start() throws IOException {
    registry = new StubRegistry();
    clients = registry.clients();
    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, "drift-test");
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "localhost:1");
    properties.put(StreamsConfig.STATE_DIR_CONFIG, stateDir.toString());
    driver =
        new TopologyTestDriver(DriftTopology.build(clients, OPTIONS, meters), properties, EPOCH);
    input =
        driver.createInputTopic(
            Topics.DIVERGENCES.fullName(clients.kafka()),
            new StringSerializer(),
            new ByteArraySerializer());
    reports = output(Topics.DRIFT_REPORTS);
    alerts = output(Topics.DRIFT_ALERTS);
    dead = output(Topics.DEAD_LETTERS);
  }

  @AfterEach
  void stop() {
    driver.close();
    registry.close();
  }

  private <T extends SpecificRecord> TestOutputTopic<String, T> output(Topic<T> topic) {
    return driver.createOutputTopic(
        topic.fullName(clients.kafka()),
        new StringDeserializer(),
        clients.serde(topic.type()).deserializer());
  }

  /** One request at a second of event time, ten positions long; the wall clock comes along. */
  private void request(String segment, double second, double klMean) {
    request(segment, second, 10, klMean * 10, 7);
  }

  private void request(String segment, double second, int positions, double klSum, long version) {
    if (second > wallSeconds && second < 1000) {
      driver.advanceWallClockTime(Duration.ofMillis(Math.round((second - wallSeconds) * 1000)));
      wallSeconds = second;
    }
    Divergence divergence =
        Divergence.newBuilder()
            .setRequestId(segment + second)
            .setSegment(segment)
            .setRequestedAt(EPOCH.plusMillis((long) (second * 1000)))
            .setStudentVersion(version)
            .setTeacherFingerprint("t")
            .setPositions(positions)
            .setKlSum(klSum)
            .setKlMax(klSum / positions * 2)
            .setAgreements(positions - 2)
            .setAcceptanceSum(positions * 0.75)
            .setEntropySum(positions * 0.5)
            .build();
    input.pipeInput(
        segment, clients.codec().encode(Topics.DIVERGENCES.fullName(clients.kafka()), divergence));
  }

  /** Lets the clock that closes windows come up to event time. */
  private void settle() {
    driver.advanceWallClockTime(Duration.ofMillis(500));
    driver.advanceWallClockTime(Duration.ofMillis(500));
    wallSeconds++;
  }

  /** Two requests of a segment in the middle of window {@code index}. */
  private void window(String segment, int index, double klMean) {
    request(segment, index * 10 + 4, klMean);
    request(segment, index * 10 + 6, klMean);
  }

  @Test
  void reportsAWindowOnceItsGraceIsOver() {
    request("a", 1, 4, 2.0, 6);
    request("a", 3, 6, 6.0, 7);
    request("b", 9, 10, 1.0, 7);
    request("b", 11.9, 10, 1.0, 7);
    settle();
    assertThat(reports.isEmpty()).isTrue();

    request("b", 12, 10, 1.0, 7);
    assertThat(reports.isEmpty()).as("before the clock has settled").isTrue();
    settle();

    List<DriftReport> closed = reports.readValuesToList();
    assertThat(closed).extracting(DriftReport::getSegment).containsExactly("a", "b", "*");
    DriftReport a = closed.get(0);
    assertThat(a.getWindowStart()).isEqualTo(EPOCH);
    assertThat(a.getWindowEnd()).isEqualTo(EPOCH.plusSeconds(10));
    assertThat(a.getRequests()).isEqualTo(2);
    assertThat(a.getPositions()).isEqualTo(10);
    assertThat(a.getStudentVersion()).isEqualTo(7);
    assertThat(a.getKlMean()).isEqualTo(0.8, within(1e-12));
    assertThat(a.getKlMax()).isEqualTo(2.0, within(1e-12));
    assertThat(a.getAgreement()).isEqualTo(0.6, within(1e-12));
    assertThat(a.getAcceptance()).isEqualTo(0.75, within(1e-12));
    assertThat(a.getTeacherEntropy()).isEqualTo(0.5, within(1e-12));
    // Residuals of kl_sum - 0.8 positions are -1.2 and 1.2: sqrt(2/1 * 2.88) / 10.
    assertThat(a.getKlStandardError()).isEqualTo(0.24, within(1e-12));
    assertThat(closed.get(1).getKlStandardError()).isNaN();
    assertThat(closed.get(2).getRequests()).isEqualTo(3);
    assertThat(closed.get(2).getKlMean()).isEqualTo(9.0 / 20, within(1e-12));
  }

  @Test
  void takesLateRequestsWithinTheGraceAndCountsThoseAfter() {
    request("a", 5, 0.1);
    request("a", 11, 0.1);
    request("a", 8, 0.1);
    request("a", 12, 0.1);
    settle();
    assertThat(reports.readValuesToList())
        .filteredOn(r -> r.getSegment().equals("a"))
        .extracting(DriftReport::getRequests)
        .containsExactly(2L);

    request("a", 9, 0.1);
    assertThat(meters.counter("drift_late_requests_total").count()).isEqualTo(1);
    request("a", 22, 0.1);
    settle();
    assertThat(reports.readValuesToList())
        .allSatisfy(r -> assertThat(r.getWindowStart()).isEqualTo(EPOCH.plusSeconds(10)));
  }

  @Test
  void aQuietSegmentsWindowClosesWithTheOthersTraffic() {
    request("quiet", 5, 0.1);
    request("busy", 40, 0.1);
    settle();
    assertThat(reports.readValuesToList())
        .extracting(DriftReport::getSegment)
        .containsExactly("quiet", "*");
  }

  @Test
  void closesTheLastWindowsWhenAllTrafficStops() {
    request("a", 5, 0.1);
    driver.advanceWallClockTime(Duration.ofSeconds(3));
    assertThat(reports.isEmpty()).as("the window's end is not reached").isTrue();
    driver.advanceWallClockTime(Duration.ofSeconds(5));
    assertThat(reports.readValuesToList()).hasSize(2);
    request("a", 6, 0.1);
    assertThat(meters.counter("drift_late_requests_total").count()).isEqualTo(1);
  }

  @Test
  void aClockFarAheadDoesNotCloseTheWindowsOfOthers() {
    request("a", 1, 0.1);
    request("a", 86_400, 0.1);
    settle();
    assertThat(reports.isEmpty()).isTrue();
    assertThat(meters.counter("drift_future_requests_total").count()).isEqualTo(1);
  }

  @Test
  void anUntrainedStudentRaisesNothingAndADriftingOneDoesUntilItIsCleared() {
    for (int i = 0; i < 4; i++) {
      window("a", i, 3.0);
    }
    for (int i = 4; i < 7; i++) {
      window("a", i, 0.1);
    }
    window("a", 7, 0.5);
    assertThat(alerts.isEmpty()).as("untrained, then armed, then one bad window").isTrue();
    window("a", 8, 0.6);
    window("a", 9, 0.1);
    List<DriftAlert> raised = alerts.readValuesToList();
    assertThat(raised).extracting(DriftAlert::getSegment).containsExactly("a", "*");
    assertThat(raised).allSatisfy(a -> assertThat(a.getState()).isEqualTo(AlertState.RAISED));
    assertThat(raised.get(0).getValue()).isEqualTo(0.6, within(1e-12));
    assertThat(raised.get(0).getThreshold()).isEqualTo(0.3);
    assertThat(raised.get(0).getAt()).isEqualTo(EPOCH.plusSeconds(90));
    assertThat(raised.get(0).getMessage()).contains("segment a", "0.600", "version 7");

    window("a", 10, 0.1);
    window("a", 11, 0.1);
    List<DriftAlert> cleared = alerts.readValuesToList();
    assertThat(cleared).allSatisfy(a -> assertThat(a.getState()).isEqualTo(AlertState.CLEARED));
    assertThat(cleared)
        .extracting(DriftAlert::getAlertId)
        .containsExactly(raised.get(0).getAlertId(), raised.get(1).getAlertId());
  }

  @Test
  void aWindowBetweenTheThresholdsEndsBothStreaks() {
    arm();
    window("a", 3, 0.5);
    window("a", 4, 0.25);
    window("a", 5, 0.5);
    window("a", 6, 0.1);
    window("a", 7, 0.1);
    assertThat(alerts.isEmpty()).isTrue();
  }

  @Test
  void tooFewRequestsDecideNothing() {
    arm();
    window("a", 3, 0.5);
    request("a", 45, 9.0);
    window("a", 5, 0.1);
    window("a", 6, 0.1);
    assertThat(alerts.isEmpty()).isTrue();
  }

  @Test
  void aSegmentNeverSeenBeforeIsArmedByAllTraffic() {
    arm();
    for (int i = 3; i < 6; i++) {
      for (int j = 0; j < 20; j++) {
        request("a", i * 10 + 1 + j / 10.0, 0.01);
      }
      window("new", i, 2.0);
    }
    assertThat(alerts.readValuesToList()).extracting(DriftAlert::getSegment).containsExactly("new");
  }

  @Test
  void segmentsBeyondTheBoundShareOne() {
    for (String segment : List.of("a", "b", "c", "d", "e")) {
      request(segment, 1, 0.1);
    }
    request("a", 12, 0.1);
    settle();
    assertThat(reports.readValuesToList())
        .extracting(DriftReport::getSegment)
        .containsExactly("(other)", "a", "b", "c", "*");
  }

  @Test
  void whatCannotBeReadGoesToTheDeadLetters() {
    input.pipeInput("a", new byte[] {9, 9, 9});
    request("a", 1, 0.1);
    request("a", 12, 0.1);
    settle();
    assertThat(reports.readValuesToList()).hasSize(2);
    DeadLetter letter = dead.readValue();
    assertThat(letter.getReason()).isEqualTo("bad_magic");
    assertThat(letter.getTopic()).isEqualTo("test.divergences");
    assertThat(letter.getOffset()).isZero();
    assertThat(letter.getValueSize()).isEqualTo(3);
  }

  private void arm() {
    for (int i = 0; i < 3; i++) {
      window("a", i, 0.1);
    }
  }
}
