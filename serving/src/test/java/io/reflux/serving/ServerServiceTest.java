package io.reflux.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.service.RefluxException;
import io.reflux.serving.Client.Answer;
import io.reflux.serving.SnapshotSubscriber.Lease;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotPointers;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(SharedStack.class)
class ServerServiceTest {
  private static final String LONG =
      "{'prompt':'Where is','temperature':0,'max_tokens':4000,'stream':true}";

  @TempDir Path temp;
  private Fleet fleet;

  @BeforeEach
  void newFleet(DevStack stack) {
    fleet = new Fleet(stack, temp);
  }

  @AfterEach
  void closeFleet() {
    fleet.close();
  }

  @Test
  void answers503UntilTheFirstSnapshotIsThere() {
    try (Fleet.Running server = fleet.server(2, 2).start()) {
      Client client = new Client(server.service());
      Answer health = client.get("/health");
      assertThat(health.status()).isEqualTo(503);
      assertThat(health.version()).isNull();
      Answer early = client.complete("{'prompt':'a'}");
      assertThat(early.status()).isEqualTo(503);
      assertThat(early.errorCode()).isEqualTo("no_snapshot");
      assertThat(server.service().servedVersion()).isEmpty();
      assertThat(server.service().servedDirectory()).isEmpty();

      fleet.publish(1);
      server.awaitVersion(1);
      assertThat(client.get("/health").status()).isEqualTo(200);
      assertThat(client.get("/health").body().path("version").asLong()).isEqualTo(1);
      assertThat(client.complete("{'prompt':'a'}").status()).isEqualTo(200);
      assertThat(server.service().servedVersion()).hasValue(1);
      assertThat(server.service().servedDirectory().orElseThrow())
          .isDirectoryContaining("glob:**/model.safetensors");
    }
  }

  @Test
  void swapsUnderLoadFailNoRequestAndEachAnswerNamesItsVersion() throws Exception {
    int versions = 5;
    fleet.publish(1);
    try (Fleet.Running server = fleet.server(4, 64).start()) {
      server.awaitVersion(1);
      Client client = new Client(server.service());
      AtomicBoolean stop = new AtomicBoolean();
      ExecutorService pool = Executors.newFixedThreadPool(4);
      try {
        List<Future<List<Answer>>> loads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          Callable<List<Answer>> load =
              () -> {
                List<Answer> answers = new ArrayList<>();
                while (!stop.get()) {
                  answers.add(
                      client.complete("{'prompt':'Where is','temperature':0,'max_tokens':24}"));
                }
                return answers;
              };
          loads.add(pool.submit(load));
        }
        for (int version = 2; version <= versions; version++) {
          fleet.publish(version);
          server.awaitVersion(version);
        }
        assertThat(client.get("/health").version()).isEqualTo(Integer.toString(versions));
        stop.set(true);
        Map<String, Set<String>> textsByVersion = new TreeMap<>();
        for (Future<List<Answer>> load : loads) {
          String newest = "0";
          for (Answer answer : load.get()) {
            assertThat(answer.status()).as("%s", answer.body()).isEqualTo(200);
            assertThat(answer.version()).isGreaterThanOrEqualTo(newest);
            newest = answer.version();
            assertThat(answer.body().path("system_fingerprint").asText())
                .startsWith("reflux-" + answer.version() + "-");
            textsByVersion
                .computeIfAbsent(newest, v -> new java.util.TreeSet<>())
                .add(answer.text());
          }
        }
        // Each version has weights of its own, so a text tells which one really answered.
        assertThat(textsByVersion.values()).allSatisfy(texts -> assertThat(texts).hasSize(1));
        assertThat(textsByVersion.values().stream().flatMap(Set::stream)).doesNotHaveDuplicates();
        assertThat(textsByVersion).containsKey("1").hasSizeGreaterThan(1);
        assertThat(server.meter("requests_failed_total")).isZero();
        assertThat(server.meter("swaps_total")).isEqualTo(versions);
        assertThat(server.gauge("served_version")).isEqualTo(versions);
      } finally {
        stop.set(true);
        pool.shutdownNow();
      }
    }
  }

  @Test
  void requestInFlightFinishesOnTheOldVersionWhichThenLeavesMemory() throws Exception {
    fleet.publish(1);
    try (Fleet.Running server = fleet.server(1, 4).start()) {
      server.awaitVersion(1);
      SnapshotSubscriber subscriber = server.service().subscriber();
      ServedModel old;
      try (Lease lease = subscriber.acquire().orElseThrow()) {
        old = lease.served();
        fleet.publish(2);
        server.awaitVersion(2);
        assertThat(subscriber.current().orElseThrow().version()).isEqualTo(2);
        GenerationRequest request =
            new GenerationRequest(
                old.model().promptIds("Where is"), 8, SamplingOptions.GREEDY, Set.of(), 0);
        Generation generation = old.generate(request, null).result().get();
        assertThat(generation.tokens()).hasSize(8);
        // Version 1 is still on the disk, although only one more than the current is kept.
        assertThat(old.directory()).exists();
      }
      Fleet.await("the old engine to close", () -> !accepts(old));
      fleet.publish(3);
      server.awaitVersion(3);
      assertThat(old.directory()).doesNotExist();
    }
  }

  @Test
  void snapshotThatContradictsItsManifestIsRefusedAndTheOldOneServes() {
    fleet.publish(1);
    try (Fleet.Running server = fleet.server(2, 2).start()) {
      server.awaitVersion(1);
      Client client = new Client(server.service());
      LanguageModel other = fleet.model(2);
      fleet.publish(other, "another tokenizer's");
      SnapshotException problem = server.awaitProblem();
      assertThat(problem)
          .hasMessageContaining("fingerprint of its tokenizer")
          .hasMessageContaining("another tokenizer's")
          .hasMessageContaining(other.tokenizerFingerprint());
      assertThat(client.complete("{'prompt':'a'}").version()).isEqualTo("1");
      assertThat(server.meter("swap_failures_total")).isGreaterThanOrEqualTo(1);
      fleet.publish(3);
      server.awaitVersion(3);
      assertThat(client.complete("{'prompt':'a'}").version()).isEqualTo("3");
    }
  }

  @Test
  void restartServesTheVersionItServedAndRollbackIsFollowed() {
    fleet.publish(1);
    fleet.publish(2);
    try (Fleet.Running server = fleet.server(2, 2).start()) {
      server.awaitVersion(2);
    }
    try (Fleet.Running server = fleet.server(2, 2).start()) {
      server.awaitVersion(2);
      new SnapshotPointers(fleet.clients()).rollback("stable", 1, "test");
      Fleet.await("the rollback", () -> server.service().servedVersion().orElse(0) == 1);
    }
  }

  @Test
  void fullQueueIsAnsweredWith429() {
    fleet.publish(1);
    try (Fleet.Running server = fleet.server(1, 0).start()) {
      server.awaitVersion(1);
      Client client = new Client(server.service());
      HttpResponse<Stream<String>> running = client.open("/v1/completions", LONG);
      try (Stream<String> lines = running.body()) {
        Iterator<String> events = lines.iterator();
        assertThat(events.next()).startsWith("data: ");
        Answer refused = client.complete("{'prompt':'a'}");
        // A fast machine may have finished the first request already; it is long for that.
        assertThat(refused.status()).isEqualTo(429);
        assertThat(refused.errorCode()).isEqualTo("queue_full");
        assertThat(Integer.parseInt(refused.retryAfter())).isPositive();
        assertThat(refused.body().path("error").path("type").asText())
            .isEqualTo("rate_limit_error");
      }
      Fleet.await("the slot", () -> server.gauge("continuations_in_flight") == 0);
      assertThat(client.complete("{'prompt':'a'}").status()).isEqualTo(200);
      assertThat(server.meter("requests_overloaded_total")).isEqualTo(1);
      assertThat(server.meter("requests_failed_total")).isZero();
    }
  }

  @Test
  void clientThatGoesAwayStopsItsGeneration() throws IOException {
    fleet.publish(1);
    try (Fleet.Running server = fleet.server(1, 8).start()) {
      server.awaitVersion(1);
      for (String body : List.of(LONG, LONG.replace("true", "false"))) {
        double before = server.meter("requests_cancelled_total");
        // Eight long requests on one slot: the last ones cannot have finished by then.
        List<Socket> sockets = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
          sockets.add(post(server.service().port(), body));
        }
        Fleet.await("all requests", () -> server.gauge("continuations_in_flight") >= 5);
        for (Socket socket : sockets) {
          socket.close();
        }
        Fleet.await("the slots", () -> server.gauge("continuations_in_flight") == 0);
        assertThat(server.meter("requests_cancelled_total")).isGreaterThan(before);
      }
      assertThat(server.meter("requests_failed_total")).isZero();
    }
  }

  @Test
  void closeLetsRequestsInFlightFinish() throws Exception {
    fleet.publish(1);
    Fleet.Running server = fleet.server(1, 4).start();
    server.awaitVersion(1);
    Client client = new Client(server.service());
    HttpResponse<Stream<String>> running = client.open("/v1/completions", LONG);
    try (Stream<String> lines = running.body()) {
      Iterator<String> events = lines.iterator();
      assertThat(events.next()).startsWith("data: ");
      CompletableFuture<Void> closed = CompletableFuture.runAsync(server::close);
      String last = "";
      while (events.hasNext()) {
        String line = events.next();
        last = line.isEmpty() ? last : line;
      }
      assertThat(last).isEqualTo("data: [DONE]");
      closed.get();
    }
    assertThat(server.service().termination().toCompletableFuture()).isCompleted();
    assertThatThrownBy(() -> client.get("/health")).isInstanceOf(RuntimeException.class);
    server.close();
  }

  @Test
  void closeBeforeStartIsSafe() {
    Fleet.Running server = fleet.server(1, 1);
    server.close();
    assertThat(server.service().termination().toCompletableFuture()).isCompleted();
  }

  @Test
  void takenPortIsNamed() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        ServerService server =
            new ServerService(
                Fleet.config(temp.resolve("s"), 1, 1, taken.getLocalPort(), Map.of()),
                fleet.clients(),
                new SimpleMeterRegistry())) {
      assertThatThrownBy(server::start)
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("cannot listen on 127.0.0.1:" + taken.getLocalPort());
    }
  }

  @Test
  void tokensAndFirstTokensAreMeasured() {
    fleet.publish(1);
    try (Fleet.Running server = fleet.server(2, 2).start()) {
      server.awaitVersion(1);
      Client client = new Client(server.service());
      JsonNode usage =
          client.complete("{'prompt':'Where is','temperature':0}").body().path("usage");
      client.complete("{'prompt':7}");
      assertThat(server.meter("requests_total")).isEqualTo(2);
      assertThat(server.meter("requests_refused_total")).isEqualTo(1);
      assertThat(server.meter("tokens_total"))
          .isEqualTo(usage.path("completion_tokens").asDouble());
      assertThat(server.meter("prompt_tokens_total"))
          .isEqualTo(usage.path("prompt_tokens").asDouble());
      assertThat(server.gauge("queue_depth")).isZero();
    }
  }

  private static Socket post(int port, String body) throws IOException {
    byte[] json = body.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    Socket socket = new Socket(InetAddress.getLoopbackAddress(), port);
    String head =
        "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            + "content-length: "
            + json.length
            + "\r\n\r\n";
    socket.getOutputStream().write(head.getBytes(StandardCharsets.US_ASCII));
    socket.getOutputStream().write(json);
    socket.getOutputStream().flush();
    return socket;
  }

  private static boolean accepts(ServedModel served) {
    try {
      served
          .generate(
              new GenerationRequest(new int[] {5}, 1, SamplingOptions.GREEDY, Set.of(), 0), null)
          .cancel();
      return true;
    } catch (RejectedExecutionException e) {
      return false;
    }
  }
}
