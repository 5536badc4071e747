package io.reflux.producers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.registry.RegistryConfig;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The mirror while neither Kafka nor the registry answers: connections open, and nothing comes. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class TrafficMirrorTest {
  private ServerSocket silent;
  private KafkaClients clients;

  @BeforeEach
  void listenInSilence() throws IOException {
    silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    String address = "127.0.0.1:" + silent.getLocalPort();
    clients = new KafkaClients(new SilentKafka(address), new SilentRegistry("http://" + address));
  }

  @AfterEach
  void hangUp() throws IOException {
    silent.close();
  }

  private record SilentKafka(String bootstrapServers) implements KafkaConfig {
    @Override
    public String prefix() {
      return "reflux.";
    }

    @Override
    public short replicationFactor() {
      return 1;
    }

    @Override
    public Map<String, String> properties() {
      return Map.of();
    }
  }

  private record SilentRegistry(String url) implements RegistryConfig {
    @Override
    public Optional<String> username() {
      return Optional.empty();
    }

    @Override
    public Optional<String> password() {
      return Optional.empty();
    }

    @Override
    public Optional<Path> truststore() {
      return Optional.empty();
    }

    @Override
    public Optional<String> truststorePassword() {
      return Optional.empty();
    }
  }

  private TrafficMirror.Builder mirror() {
    return TrafficMirror.builder(clients, "test").closeTimeout(Duration.ofMillis(50));
  }

  private static MirrorRequest request(String prompt) {
    return MirrorRequest.prompt(prompt).build();
  }

  @Test
  void dropsRatherThanBlocksAndAccountsForEveryRequest() {
    TrafficMirror mirror = mirror().bufferBytes(64 << 10).maxRequestBytes(8 << 10).build();
    List<Receipt> receipts = new ArrayList<>();
    long slowest = 0;
    for (int i = 0; i < 1000; i++) {
      long start = System.nanoTime();
      receipts.add(mirror.submit(request("x".repeat(1000))));
      slowest = Math.max(slowest, System.nanoTime() - start);
    }
    receipts.add(mirror.submit(request("é".repeat(5000))));

    assertThat(Duration.ofNanos(slowest)).isLessThan(Duration.ofSeconds(1));
    assertThat(mirror.isNearlyFull()).isTrue();
    assertThat(mirror.dropped(DropReason.TOO_LARGE)).isEqualTo(1);
    // 64 KiB hold 43 requests of 1,000 bytes with what is around them.
    assertThat(mirror.dropped(DropReason.BUFFER_FULL)).isBetween(955L, 960L);

    mirror.close();
    receipts.add(mirror.submit(request("late")));
    long dropped = 0;
    for (DropReason reason : DropReason.values()) {
      dropped += mirror.dropped(reason);
    }
    assertThat(mirror.submitted()).isEqualTo(1002);
    assertThat(mirror.delivered() + dropped).isEqualTo(1002);
    assertThat(receipts).allMatch(receipt -> receipt.delivery().isCompletedExceptionally());
    assertThat(receipts.stream().map(Receipt::requestId)).doesNotHaveDuplicates();
  }

  @Test
  void samplesWholeConversations() {
    TrafficMirror mirror = mirror().sampling(0.3).build();
    int kept = 0;
    for (int i = 0; i < 300; i++) {
      MirrorRequest turn =
          MirrorRequest.prompt("hello").conversationId("conversation-" + i).build();
      boolean first = mirror.submit(turn).dropped().isEmpty();
      assertThat(mirror.submit(turn).dropped().isEmpty()).isEqualTo(first);
      kept += first ? 1 : 0;
    }
    assertThat(kept).isBetween(60, 120);
    assertThat(mirror.dropped(DropReason.NOT_SAMPLED)).isEqualTo(2L * (300 - kept));
    mirror.close();
  }

  @Test
  void whatIsNotLookedThroughInTimeIsDropped() {
    TrafficMirror mirror = mirror().redactionBudget(Duration.ZERO).build();
    Receipt receipt = mirror.submit(request("where is it"));
    assertThat(receipt.delivery())
        .failsWithin(Duration.ofSeconds(10))
        .withThrowableThat()
        .withMessageContaining("not looked through in time, see reflux.mirror.redact");
    assertThat(mirror.dropped(DropReason.NOT_REDACTED)).isEqualTo(1);
    mirror.close();
  }

  @Test
  void closeKeepsItsDeadline() {
    TrafficMirror mirror = mirror().closeTimeout(Duration.ofMillis(200)).build();
    mirror.submit(request("held"));
    long start = System.nanoTime();
    mirror.close();
    mirror.close();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(8));
    assertThat(mirror.dropped(DropReason.CLOSED)).isEqualTo(1);
  }

  @Test
  void badSettingsAreNamed() {
    assertThatThrownBy(() -> mirror().sampling(1.7).build())
        .isInstanceOf(RefluxException.class)
        .hasMessage("sampling: 1.7 (expected: above 0, to 1)");
    assertThatThrownBy(() -> mirror().bufferBytes(100).build())
        .hasMessageStartingWith("buffer-bytes: 100 (expected: room for");
  }
}
