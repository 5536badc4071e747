package io.reflux.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.schemas.service.RefluxException;
import io.reflux.serving.Client.Answer;
import io.reflux.snapshots.SnapshotPointers;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(SharedStack.class)
class CanaryTest {
  private static final String ASK = "{'prompt':'Where is','temperature':0,'max_tokens':3}";
  private static final int USERS = 200;

  @TempDir private Path temp;

  @Test
  void aShareOfUsersAndWhoAsksForItGetTheCanaryAndKeepIt(DevStack stack) {
    try (Fleet fleet = new Fleet(stack, temp)) {
      fleet.publish(1);
      try (Fleet.Running server =
          fleet.server(2, 8, Map.of("canary-channel", "canary", "canary-percent", "25")).start()) {
        server.awaitVersion(1);
        Client client = new Client(server.service());
        Answer early = client.complete(ASK, "reflux-channel", "canary");
        assertThat(early.status()).isEqualTo(503);
        assertThat(early.errorCode()).isEqualTo("no_snapshot");
        assertThat(client.complete(ASK, "reflux-user", "somebody").channel()).isEqualTo("stable");

        fleet.publish(2, "canary");
        Fleet.await("the canary", () -> server.service().canaryVersion().orElse(0) == 2);
        Answer named = client.complete(ASK, "reflux-channel", "canary");
        assertThat(named.version()).isEqualTo("2");
        assertThat(named.channel()).isEqualTo("canary");
        assertThat(named.body().path("system_fingerprint").asText()).startsWith("reflux-2-");
        Answer other = client.complete(ASK, "reflux-channel", "stable");
        assertThat(other.version()).isEqualTo("1");
        assertThat(other.text()).isNotEqualTo(named.text());

        Map<String, String> versions = new HashMap<>();
        for (int user = 0; user < USERS; user++) {
          String name = "user-" + user;
          versions.put(name, client.complete(ASK, "reflux-user", name).version());
        }
        long onCanary = versions.values().stream().filter("2"::equals).count();
        assertThat(onCanary).isBetween(USERS / 8L, USERS * 3L / 8);
        for (int user = 0; user < 20; user++) {
          String name = "user-" + user;
          Answer body = client.complete(ASK.replace("{", "{'user':'" + name + "',"));
          assertThat(body.version()).as(name).isEqualTo(versions.get(name));
        }
        // Everything that the two versions did is told apart.
        assertThat(server.meter("version_requests_total", "canary", 2))
            .isGreaterThanOrEqualTo(1 + onCanary);
        assertThat(server.meter("version_tokens_total", "stable", 1))
            .isEqualTo(3 * server.meter("version_requests_total", "stable", 1));
        assertThat(server.gauge("canary_version")).isEqualTo(2);
        assertThat(client.get("/health").body().path("canary_version").asLong()).isEqualTo(2);
        assertThat(server.meter("requests_failed_total")).isEqualTo(1);

        Answer unknown = client.complete(ASK, "reflux-channel", "nightly");
        assertThat(unknown.status()).isEqualTo(400);
        assertThat(unknown.body().at("/error/message").asText())
            .isEqualTo("reflux-channel: 'nightly' (expected: [stable, canary])");
      }
    }
  }

  @Test
  void promotedCanaryIsServedToAllFromOneCopy(DevStack stack) {
    try (Fleet fleet = new Fleet(stack, temp)) {
      fleet.publish(1);
      try (Fleet.Running server =
          fleet.server(1, 8, Map.of("canary-channel", "canary", "canary-percent", "100")).start()) {
        server.awaitVersion(1);
        fleet.publish(2, "canary");
        Fleet.await("the canary", () -> server.service().canaryVersion().orElse(0) == 2);
        Client client = new Client(server.service());
        assertThat(client.complete(ASK).channel()).isEqualTo("canary");
        new SnapshotPointers(fleet.clients()).promote("stable", 2, "test");
        server.awaitVersion(2);
        Answer promoted = client.complete(ASK);
        assertThat(promoted.version()).isEqualTo("2");
        assertThat(promoted.channel()).isEqualTo("stable");
      }
    }
  }

  @Test
  void settingsThatMakeNoSenseAreNamed(DevStack stack) {
    try (Fleet fleet = new Fleet(stack, temp)) {
      assertThatThrownBy(() -> server(fleet, Map.of("canary-percent", "101")))
          .isInstanceOf(RefluxException.class)
          .hasMessage("reflux.serve.canary-percent: 101.0 (expected: 0 to 100)");
      assertThatThrownBy(() -> server(fleet, Map.of("canary-channel", "stable")))
          .isInstanceOf(RefluxException.class)
          .hasMessage(
              "reflux.serve.canary-channel: stable"
                  + " (expected: another channel than reflux.serve.channel)");
    }
  }

  private void server(Fleet fleet, Map<String, String> settings) {
    new ServerService(
            Fleet.config(temp.resolve("s"), 1, 1, 0, settings),
            fleet.clients(),
            new SimpleMeterRegistry())
        .close();
  }
}
