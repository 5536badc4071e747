package io.reflux.serving;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.reflux.devstack.DevStack;
import io.reflux.serving.Client.Answer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** What becomes of requests that are slow, are cut short, or live through a swap. */
@ExtendWith(SharedStack.class)
@Timeout(60)
class RequestLifeTest {
  private static final String LONG =
      "{'prompt':'Where is','temperature':0,'max_tokens':4000,'stream':true}";

  @TempDir private Path temp;
  private Fleet fleet;

  @BeforeEach
  void newFleet(DevStack stack) {
    fleet = new Fleet(stack, temp);
    fleet.publish(1);
  }

  @AfterEach
  void closeFleet() {
    fleet.close();
  }

  @Test
  void requestsThatDoNotArriveAreAnsweredWith408OrHungUpOn() throws IOException {
    try (Fleet.Running server =
        fleet.server(1, 4, Map.of("body-timeout", "PT0.3S", "idle-timeout", "PT0.5S")).start()) {
      server.awaitVersion(1);
      String head =
          "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
      String halfBody = sent(server, head + "content-length: 100\r\n\r\n{\"prompt\":");
      assertThat(halfBody).startsWith("HTTP/1.1 408").contains("\"code\":\"request_timeout\"");
      assertThat(sent(server, head)).isEmpty();
      assertThat(server.gauge("continuations_in_flight")).isZero();
      assertThat(server.meter("requests_failed_total")).isZero();
    }
  }

  @Test
  void answersThatTakeTooLongEndWith504AndFreeTheirSlot() {
    try (Fleet.Running server = fleet.server(1, 4).start()) {
      server.awaitVersion(1);
      Client client = new Client(server.service());
      Answer late = client.complete(LONG.replace("true", "false"), "reflux-deadline-ms", "20");
      assertThat(late.status()).isEqualTo(504);
      assertThat(late.errorCode()).isEqualTo("deadline_exceeded");
      assertThat(late.shouldRetry()).isEqualTo("false");
      assertThat(late.version()).isEqualTo("1");
      Answer stream = client.raw("/v1/completions", LONG, "reflux-deadline-ms", "20");
      assertThat(stream.status()).isEqualTo(200);
      List<JsonNode> events = stream.body().valueStream().toList();
      assertThat(events.get(events.size() - 1).at("/error/code").asText())
          .isEqualTo("deadline_exceeded");
      Fleet.await("the slot", () -> server.gauge("continuations_in_flight") == 0);
      assertThat(server.meter("requests_expired_total")).isEqualTo(2);
      assertThat(server.meter("requests_failed_total")).isZero();
      Answer wrong = client.complete("{'prompt':'a'}", "reflux-deadline-ms", "soon");
      assertThat(wrong.status()).isEqualTo(400);
      assertThat(client.complete("{'prompt':'a'}", "x-stainless-timeout", "60").status())
          .isEqualTo(200);
    }
  }

  @Test
  void limitOfTheServerHoldsForThoseThatNameNone() {
    try (Fleet.Running server = fleet.server(1, 4, Map.of("request-deadline", "PT0.02S")).start()) {
      server.awaitVersion(1);
      Client client = new Client(server.service());
      assertThat(client.complete(LONG.replace("true", "false")).status()).isEqualTo(504);
    }
  }

  @Test
  void streamThatASwapOvertakesEndsOnItsOwnVersionAndNothingStaleIsReused() {
    try (Fleet.Running server = fleet.server(2, 4).start()) {
      server.awaitVersion(1);
      Client client = new Client(server.service());
      String ask = "{'prompt':'Where is my parcel?','temperature':0,'max_tokens':12}";
      String first = client.complete(ask).text();
      assertThat(client.complete(ask).body().at("/usage/prompt_tokens_details/cached_tokens"))
          .isEqualTo(client.complete(ask).body().at("/usage/prompt_tokens"));
      HttpResponse<Stream<String>> running = client.open("/v1/completions", LONG);
      Set<String> fingerprints = new HashSet<>();
      String last = "";
      try (Stream<String> lines = running.body()) {
        Iterator<String> events = lines.iterator();
        events.next();
        fleet.publish(2);
        server.awaitVersion(2);
        Answer fresh = client.complete(ask);
        assertThat(fresh.version()).isEqualTo("2");
        assertThat(fresh.text()).isNotEqualTo(first);
        assertThat(fresh.body().at("/usage/prompt_tokens_details/cached_tokens").asInt()).isZero();
        while (events.hasNext()) {
          String line = events.next();
          if (line.startsWith("data: {")) {
            fingerprints.add(Client.parse(line.substring(6)).path("system_fingerprint").asText());
          }
          last = line.isEmpty() ? last : line;
        }
      }
      assertThat(last).isEqualTo("data: [DONE]");
      assertThat(fingerprints).hasSize(1).allMatch(name -> name.startsWith("reflux-1-"));
      assertThat(server.meter("requests_failed_total")).isZero();
    }
  }

  @Test
  void manyRequestsAtOnceAreServedOrTurnedAwayAndNoneIsLost() {
    try (Fleet.Running server = fleet.server(2, 2).start()) {
      server.awaitVersion(1);
      Client client = new Client(server.service());
      List<Answer> answers =
          Stream.generate(() -> 1)
              .limit(24)
              .parallel()
              .map(i -> client.complete("{'prompt':'Where is','max_tokens':200}"))
              .toList();
      assertThat(answers).allMatch(answer -> answer.status() == 200 || answer.status() == 429);
      assertThat(answers).anyMatch(answer -> answer.status() == 200);
      assertThat(answers.stream().filter(answer -> answer.status() == 429))
          .allMatch(answer -> Integer.parseInt(answer.retryAfter()) > 0);
      assertThat(answers.stream().map(Answer::requestId))
          .doesNotContainNull()
          .doesNotHaveDuplicates();
      assertThat(server.gauge("continuations_in_flight")).isZero();
    }
  }

  @Test
  void whatIsServedIsToldToWhoWantsIt() throws InterruptedException {
    BlockingQueue<ServedExchange> told = new LinkedBlockingQueue<>();
    try (Fleet.Running server = fleet.server(2, 4)) {
      server.service().onServed(told::add);
      server.start();
      server.awaitVersion(1);
      Client client = new Client(server.service());
      Answer chat =
          client.post(
              "/v1/chat/completions",
              "{'messages':[{'role':'user','content':'Where is my parcel?'}],'max_tokens':9,'seed':1}",
              "reflux-segment",
              "parcels");
      ServedExchange exchange = told.poll(10, TimeUnit.SECONDS);
      assertThat(exchange.response()).isEqualTo(chat.text());
      assertThat(exchange.requestId()).isEqualTo(chat.body().path("id").asText());
      assertThat(exchange.messages()).hasSize(1);
      assertThat(exchange.prompt()).isEmpty();
      assertThat(exchange.segment()).contains("parcels");
      assertThat(exchange.version()).isEqualTo(1);
      assertThat(exchange.channel()).isEqualTo("stable");
      Answer two = client.complete("{'prompt':'Where is','n':2,'seed':2,'max_tokens':5}");
      Set<String> texts = new HashSet<>();
      for (int i = 0; i < 2; i++) {
        ServedExchange one = told.poll(10, TimeUnit.SECONDS);
        assertThat(one.prompt()).contains("Where is");
        assertThat(one.maxTokens()).isEqualTo(5);
        texts.add(one.response());
      }
      assertThat(texts)
          .containsExactlyInAnyOrderElementsOf(two.body().path("choices").findValuesAsText("text"));
      client.complete(LONG.replace("true", "false"), "reflux-deadline-ms", "20");
      assertThat(told).isEmpty();
    }
  }

  /** Everything that comes back until the server hangs up. */
  private static String sent(Fleet.Running server, String text) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), server.service().port())) {
      socket.setSoTimeout(20_000);
      socket.getOutputStream().write(text.getBytes(StandardCharsets.US_ASCII));
      socket.getOutputStream().flush();
      InputStream in = socket.getInputStream();
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
  }
}
