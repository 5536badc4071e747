package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.FleetOutcome;
import io.reflux.schemas.avro.FleetReport;
import io.reflux.schemas.avro.FleetStage;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.FleetReports.Heard;
import io.reflux.snapshots.SnapshotException.Kind;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Predicate;
import org.apache.kafka.common.KafkaException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(SharedStack.class)
class FleetReporterTest {
  private static final FleetMember MEMBER = new FleetMember("web", "server", "host-1");
  private static final Duration SOON = Duration.ofMillis(20);

  @Test
  void latestReportIsThereUntilTheInstanceEnds(DevStack stack) {
    KafkaClients clients = Loop.on(stack).clients();
    assertThat(FleetReports.read(clients)).isEmpty();
    FleetReporter reporter = new FleetReporter(clients, MEMBER, "stable");
    SnapshotPointer pointer = pointer(7);
    reporter.begins(pointer);
    reporter.reaches(FleetStage.WARM);
    reporter.refuses(pointer, problem(Kind.REFUSED, "no\nmemory"), OptionalLong.of(6));
    FleetReport refused = await(clients, report -> report.getOutcome() == FleetOutcome.REFUSED);
    assertThat(refused.getFleet()).isEqualTo("web");
    assertThat(refused.getService()).isEqualTo("server");
    assertThat(refused.getInstance()).isEqualTo("host-1");
    assertThat(refused.getChannel()).isEqualTo("stable");
    assertThat(refused.getVersion()).isEqualTo(7);
    assertThat(refused.getStage()).isEqualTo(FleetStage.WARM);
    assertThat(refused.getReason()).isEqualTo("no memory");
    assertThat(refused.getServingVersion()).isEqualTo(6);
    assertThat(refused.getMillisSinceSeen()).isBetween(0L, 60_000L);

    try (FleetReporter other =
        new FleetReporter(clients, new FleetMember("edge", "sidecar", "host-2"), "stable")) {
      other.serves(pointer);
      reporter.begins(pointer);
      reporter.reaches(FleetStage.FLIP);
      reporter.serves(pointer);
      FleetReport serving =
          await(
              clients,
              report ->
                  report.getFleet().equals("web") && report.getOutcome() == FleetOutcome.SERVING);
      assertThat(serving.getServingVersion()).isEqualTo(7);
      assertThat(serving.getStage()).isEqualTo(FleetStage.FLIP);
      assertThat(serving.getReason()).isEmpty();
      // Since it was first offered, not since it was offered again.
      assertThat(serving.getMillisSinceSeen()).isGreaterThanOrEqualTo(refused.getMillisSinceSeen());
      await(clients, report -> report.getFleet().equals("edge"));
      reporter.close();
      assertThat(FleetReports.read(clients))
          .extracting(heard -> heard.report().getFleet())
          .containsExactly("edge");
    }
    assertThat(FleetReports.read(clients)).isEmpty();
  }

  @Test
  void whileKafkaIsAwayNobodyWaitsAndThenTheLatestGoesOut(DevStack stack) throws Exception {
    KafkaClients clients = Loop.on(stack).clients();
    AtomicInteger tries = new AtomicInteger();
    CountDownLatch back = new CountDownLatch(1);
    CountDownLatch tried = new CountDownLatch(3);
    try (FleetReporter reporter =
        new FleetReporter(
            clients,
            MEMBER,
            "stable",
            () -> {
              tried.countDown();
              tries.incrementAndGet();
              if (back.getCount() > 0) {
                throw new KafkaException("away");
              }
              return clients.producer("test");
            },
            SOON)) {
      for (long version = 1; version <= 10_000; version++) {
        reporter.serves(pointer(version));
      }
      assertThat(tried.await(20, TimeUnit.SECONDS)).isTrue();
      // However much there was to say, it was tried now and then.
      assertThat(tries.get()).isLessThan(5_000);
      back.countDown();
      assertThat(await(clients, report -> true).getServingVersion()).isEqualTo(10_000);
    }
  }

  @Test
  void closeDoesNotWaitForABrokerThatIsAway(DevStack stack) {
    KafkaClients clients = Loop.on(stack).clients();
    CountDownLatch entered = new CountDownLatch(1);
    FleetReporter reporter =
        new FleetReporter(
            clients,
            MEMBER,
            "stable",
            () -> {
              entered.countDown();
              while (!Thread.currentThread().isInterrupted()) {
                LockSupport.park();
              }
              throw new KafkaException("away");
            },
            SOON);
    long began = System.nanoTime();
    reporter.serves(pointer(1));
    reporter.close();
    assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(8));
    reporter.close();
    reporter.serves(pointer(2));
  }

  @Test
  void outcomeAndStageSayWhoseFaultItIs(DevStack stack) {
    List<FleetReport> told = new ArrayList<>();
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    try (FleetReporter reporter = new FleetReporter(Loop.on(stack).clients(), MEMBER, "stable")) {
      reporter.addListener(told::add);
      reporter.addListener(FleetReporter.counting(meters));
      reporter.begins(pointer(1));
      reporter.refuses(pointer(1), problem(Kind.CORRUPT_FILE, "x"), OptionalLong.empty());
      assertLast(told, FleetOutcome.REFUSED, FleetStage.VERIFY, 1L);
      reporter.begins(pointer(1));
      reporter.refuses(pointer(1), problem(Kind.STORAGE, "full"), OptionalLong.empty());
      assertLast(told, FleetOutcome.FAILED, FleetStage.FETCH, 1L);
      // An old record was sent again: nobody began to work on it.
      reporter.refuses(pointer(2), problem(Kind.BACKWARDS, "x"), OptionalLong.of(3));
      assertLast(told, FleetOutcome.REFUSED, FleetStage.VERIFY, 2L);
      reporter.hears(problem(Kind.UNREADABLE_POINTER, "x"), OptionalLong.of(3));
      assertLast(told, FleetOutcome.REFUSED, FleetStage.VERIFY, null);
      assertThat(told.get(told.size() - 1).getServingVersion()).isEqualTo(3);
      int before = told.size();
      reporter.hears(problem(Kind.KAFKA, "away"), OptionalLong.of(3));
      assertThat(told).hasSize(before);
    }
    assertThat(
            meters
                .get("fleet_reports_total")
                .tags("channel", "stable", "outcome", "refused", "stage", "verify")
                .counter()
                .count())
        .isEqualTo(3);
  }

  @Test
  void instanceIsTheSameAfterARestartAndNamesAreChecked() {
    FleetMember member = FleetMember.of("web", "server", Path.of("data/../data"));
    assertThat(member).isEqualTo(FleetMember.of("web", "server", Path.of("data")));
    assertThat(member).isNotEqualTo(FleetMember.of("web", "server", Path.of("other")));
    assertThatThrownBy(() -> new FleetMember("a/b", "server", "i"))
        .isInstanceOf(RefluxException.class)
        .hasMessage("fleet: 'a/b' (expected: a name without spaces and slashes)");
  }

  private static void assertLast(
      List<FleetReport> told, FleetOutcome outcome, FleetStage stage, Long version) {
    FleetReport last = told.get(told.size() - 1);
    assertThat(last.getOutcome()).isEqualTo(outcome);
    assertThat(last.getStage()).isEqualTo(stage);
    assertThat(last.getVersion()).isEqualTo(version);
  }

  private static FleetReport await(KafkaClients clients, Predicate<FleetReport> wanted) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (true) {
      List<Heard> heard = FleetReports.read(clients);
      for (Heard one : heard) {
        if (wanted.test(one.report())) {
          assertThat(one.at()).isBefore(Instant.now().plusSeconds(1));
          return one.report();
        }
      }
      assertThat(System.nanoTime()).as("such a report within 20 s; %s", heard).isLessThan(deadline);
    }
  }

  private static SnapshotException problem(Kind kind, String message) {
    return new SnapshotException(kind, message);
  }

  private static SnapshotPointer pointer(long version) {
    return SnapshotPointer.newBuilder()
        .setChannel("stable")
        .setVersion(version)
        .setManifestSha256("digest-" + version)
        .setMovedAt(Instant.EPOCH)
        .setReason("test")
        .build();
  }
}
