package io.reflux.devstack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.service.RefluxException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class EmbeddedBrokerTest {
  @TempDir Path dir;

  @Test
  void startsRestartsOnTheSamePortsAndLeavesNoThreadBehind() throws Exception {
    assertLeavesNoThread(this::startAndRestart);
  }

  private void startAndRestart() throws Exception {
    String bootstrap;
    String clusterId;
    long closing;
    try (EmbeddedBroker broker = EmbeddedBroker.start(dir.resolve("data"), 0)) {
      bootstrap = broker.bootstrapServers();
      clusterId = broker.clusterId();
      assertThat(bootstrap).startsWith("127.0.0.1:");

      assertThatThrownBy(() -> EmbeddedBroker.start(dir.resolve("data"), 0))
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("data directory: " + dir.resolve("data"))
          .hasMessageContaining("in use");
      int port = Integer.parseInt(bootstrap.substring(bootstrap.indexOf(':') + 1));
      assertThatThrownBy(() -> EmbeddedBroker.start(dir.resolve("other"), port))
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("broker port: " + port)
          .hasMessageContaining("another process listens");

      try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
        admin.createTopics(List.of(new NewTopic("kept", 2, (short) 1))).all().get();
        assertThat(admin.describeCluster().clusterId().get()).isEqualTo(clusterId);
      }
      closing = System.nanoTime();
    }
    assertThat(Duration.ofNanos(System.nanoTime() - closing)).isLessThan(Duration.ofSeconds(5));

    try (EmbeddedBroker broker = EmbeddedBroker.start(dir.resolve("data"), 0);
        Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      assertThat(broker.bootstrapServers()).isEqualTo(bootstrap);
      assertThat(broker.clusterId()).isEqualTo(clusterId);
      assertThat(admin.listTopics().names().get()).contains("kept");
      usingAnUnknownTopicDoesNotCreateIt(bootstrap, admin);
    }
  }

  private static void usingAnUnknownTopicDoesNotCreateIt(String bootstrap, Admin admin)
      throws Exception {
    try (KafkaProducer<String, String> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", bootstrap, ProducerConfig.MAX_BLOCK_MS_CONFIG, 500),
            new StringSerializer(),
            new StringSerializer())) {
      assertThatThrownBy(() -> producer.send(new ProducerRecord<>("unknown", "v")).get())
          .isInstanceOf(ExecutionException.class)
          .hasCauseInstanceOf(TimeoutException.class);
    }
    assertThat(admin.listTopics().names().get()).doesNotContain("unknown");
  }

  @Test
  void aFailedStartLeavesNoThreadAndNoLock() throws Exception {
    assertLeavesNoThread(this::failToStart);
  }

  private void failToStart() throws Exception {
    BrokerOptions broken = new BrokerOptions("127.0.0.1", 0, Map.of("log.retention.ms", "soon"));
    assertThatThrownBy(() -> EmbeddedBroker.start(dir, broken))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("log.retention.ms");

    // Fails after the controller is up: the broker cannot take the second listener's port.
    int controllerPort = Ports.free("127.0.0.1");
    Path other = Files.createDirectory(dir.resolve("other"));
    Files.writeString(other.resolve("broker.properties"), "controller.port=" + controllerPort);
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      BrokerOptions late =
          new BrokerOptions(
              "127.0.0.1",
              0,
              Map.of(
                  "listeners",
                  "PLAINTEXT://127.0.0.1:"
                      + taken.getLocalPort()
                      + ",CONTROLLER://127.0.0.1:"
                      + controllerPort));
      assertThatThrownBy(() -> EmbeddedBroker.start(other, late))
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("in use");
    }
    DataDirectory.open(other, "broker").close();
  }

  @Test
  void refusesADirectoryThatIsNone() throws Exception {
    Path file = Files.writeString(dir.resolve("file"), "x");
    assertThatThrownBy(() -> EmbeddedBroker.start(file, 0))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("data directory: " + file)
        .hasMessageContaining("expected: a writable directory");
    assertThatThrownBy(() -> EmbeddedBroker.start(dir, 70_000))
        .hasMessageContaining("broker port: 70000 (expected: 1 to 65535");
  }

  /**
   * Threads belong to the group of the thread that made them: other tests' brokers do not count.
   */
  private static void assertLeavesNoThread(Executable body) throws Exception {
    ThreadGroup group = new ThreadGroup("broker under test");
    CompletableFuture<Void> outcome = new CompletableFuture<>();
    new Thread(
            group,
            () -> {
              try {
                body.execute();
                outcome.complete(null);
              } catch (Throwable e) {
                outcome.completeExceptionally(e);
              }
            })
        .start();
    outcome.get(60, TimeUnit.SECONDS);
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    Thread[] left = new Thread[500];
    int count = group.enumerate(left);
    for (int i = 0; i < count; i++) {
      if (left[i].isDaemon()) {
        continue; // the metrics library's clock, one for the whole JVM
      }
      left[i].join(Math.max(1, Duration.ofNanos(deadline - System.nanoTime()).toMillis()));
      assertThat(left[i].isAlive()).as("left behind: %s", left[i]).isFalse();
    }
  }
}
