package io.reflux.schemas.service;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.schemas.avro.ServiceStatus;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.TestKafkaConfig;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.schemas.registry.TestRegistry;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class StatusReporterTest {
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private TestRegistry registry;
  private KafkaClients clients;

  @BeforeEach
  void start() {
    registry = TestRegistry.start();
    clients = new KafkaClients(TestKafkaConfig.of("127.0.0.1:1"), registry.config());
  }

  @AfterEach
  void stop() {
    registry.close();
  }

  /** Counts down with every record sent. */
  private static MockProducer<String, byte[]> producer(CountDownLatch sent) {
    return new MockProducer<>(true, null, new StringSerializer(), new ByteArraySerializer()) {
      @Override
      public synchronized Future<RecordMetadata> send(
          ProducerRecord<String, byte[]> record, Callback callback) {
        Future<RecordMetadata> future = super.send(record, callback);
        sent.countDown();
        return future;
      }
    };
  }

  private List<ServiceStatus> statuses(MockProducer<String, byte[]> producer)
      throws DecodeException {
    List<ServiceStatus> statuses = new ArrayList<>();
    for (ProducerRecord<String, byte[]> record : producer.history()) {
      statuses.add(clients.codec().decode(record.topic(), record.value(), ServiceStatus.class));
    }
    return statuses;
  }

  @Test
  void tellsFromStartingToStopped() throws Exception {
    CountDownLatch sent = new CountDownLatch(3);
    MockProducer<String, byte[]> producer = producer(sent);
    meters.counter("requests.scored").increment(7);

    StatusReporter reporter = new StatusReporter("scorer", clients, meters, () -> producer);
    reporter.state("running", "as it should");
    assertThat(sent.await(10, TimeUnit.SECONDS)).isTrue();
    reporter.close();
    reporter.close();
    reporter.state("running", "too late");

    List<ServiceStatus> statuses = statuses(producer);
    ServiceStatus last = statuses.get(statuses.size() - 1);
    assertThat(last.getState()).isEqualTo("stopped");
    assertThat(last.getDetail()).isEqualTo("as it should");
    assertThat(last.getMetrics()).containsEntry("requests_scored", 7.0);
    assertThat(last.getInstance()).isEqualTo(reporter.instance());
    assertThat(statuses).extracting(ServiceStatus::getState).contains("running");
    assertThat(producer.history().get(0).key()).isEqualTo("scorer/" + reporter.instance());
    assertThat(producer.closed()).isTrue();
  }

  @Test
  void failureIsNotPaintedOverByClose() throws Exception {
    MockProducer<String, byte[]> producer = producer(new CountDownLatch(1));
    StatusReporter reporter = new StatusReporter("scorer", clients, meters, () -> producer);

    reporter.state("failed", "out of disk");
    reporter.close();

    List<ServiceStatus> statuses = statuses(producer);
    assertThat(statuses.get(statuses.size() - 1).getState()).isEqualTo("failed");
  }

  @Test
  void goesOnAfterKafkaWasAway() throws Exception {
    CountDownLatch sent = new CountDownLatch(1);
    MockProducer<String, byte[]> producer = producer(sent);
    AtomicInteger opened = new AtomicInteger();
    Supplier<Producer<String, byte[]>> failsAtFirst =
        () -> {
          if (opened.getAndIncrement() == 0) {
            throw new RefluxException("Kafka 127.0.0.1:1: not now");
          }
          return producer;
        };

    try (StatusReporter reporter = new StatusReporter("scorer", clients, meters, failsAtFirst)) {
      assertThat(sent.await(10, TimeUnit.SECONDS)).isTrue();
      producer.sendException = new KafkaException("broken");
      reporter.state("running", "");
      producer.sendException = null;
    }

    List<ServiceStatus> statuses = statuses(producer);
    assertThat(statuses.get(statuses.size() - 1).getState()).isEqualTo("stopped");
  }

  @Test
  void metersBecomeFigures() {
    meters.counter("requestsFailed", "reason", "timeout").increment(2);
    meters.counter("requestsFailed", "reason", "refused").increment(3);
    meters.gauge("queue.depth", 4);
    meters.gauge("undefined", Double.NaN);
    meters.timer("score").record(Duration.ofMillis(1500));
    meters.timer("score").record(Duration.ofMillis(500));
    meters.summary("batch_tokens").record(32);

    assertThat(MeterFigures.of(meters))
        .containsEntry("requests_failed", 5.0)
        .containsEntry("requests_failed{reason=timeout}", 2.0)
        .containsEntry("queue_depth", 4.0)
        .containsEntry("score_count", 2.0)
        .containsEntry("score_sum", 2.0)
        .containsEntry("score_mean", 1.0)
        .containsEntry("score_max", 1.5)
        .containsEntry("batch_tokens_count", 1.0)
        .containsEntry("batch_tokens_sum", 32.0)
        .doesNotContainKey("undefined");
  }
}
