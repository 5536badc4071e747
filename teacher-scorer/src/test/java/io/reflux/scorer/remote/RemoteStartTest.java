package io.reflux.scorer.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.service.RefluxException;
import io.reflux.scorer.TinyTeacher;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What does not fit is said in one line, before anything is labelled. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class RemoteStartTest {
  private static final Duration TIMEOUT = Duration.ofSeconds(10);

  @TempDir static Path directory;
  private static LanguageModel model;

  private static Map<RemoteApi, TeacherServer> servers;

  private TeacherServer server;

  @BeforeAll
  static void startServers() {
    model = TinyTeacher.make(directory.resolve("teacher"), 1);
    servers =
        Map.of(
            RemoteApi.VLLM, TeacherServer.start(RemoteApi.VLLM, model, "/models/big", 0),
            RemoteApi.SGLANG, TeacherServer.start(RemoteApi.SGLANG, model));
  }

  @AfterAll
  static void stopServers() {
    servers.values().forEach(TeacherServer::close);
  }

  @AfterEach
  void recover() {
    servers.values().forEach(TeacherServer::recover);
  }

  private void serve(RemoteApi api) {
    server = servers.get(api);
  }

  private static RemoteOptions options(
      String url, RemoteApi api, Optional<String> name, Optional<String> key) {
    return new RemoteOptions(url, name, api, 4, TIMEOUT, 1, key);
  }

  private RemoteOptions plain(RemoteApi api) {
    return options(server.url(), api, Optional.empty(), Optional.empty());
  }

  private static void open(RemoteOptions options, int k, int longest) {
    RemoteTeacher.open(options, model.text(), k, longest, new SamplingOptions(1, 1, 0, 1)).close();
  }

  private static AbstractThrowableAssert<?, ?> refused(RemoteOptions options) {
    return assertThatThrownBy(() -> open(options, 5, 96))
        .isInstanceOf(RefluxException.class)
        .hasMessageNotContaining("\n");
  }

  @ParameterizedTest
  @EnumSource
  void anotherTokenizerIsRefusedWithBothFingerprints(RemoteApi api) {
    serve(api);
    List<String> texts = List.of("other words that are learned from", "and quite other pairs");
    server.tokenizer(TinyTeacher.make(directory.resolve("other-" + api), 1, texts).text());
    refused(plain(api))
        .hasMessageContaining("tokenizer " + model.tokenizerFingerprint())
        .hasMessageMatching(".*fingerprint [0-9a-f]{64} here and [0-9a-f]{64} there; text 0, .*")
        .hasMessageContaining("differs at token ");
  }

  @Test
  void aLimitOfLogprobsIsSaidWithItsFlag() {
    serve(RemoteApi.VLLM);
    assertThatThrownBy(() -> open(plain(RemoteApi.VLLM), 50, 96))
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith(
            "reflux.score.top-k: 50 (expected: at most 20; vLLM takes more when it is started with"
                + " --max-logprobs 50)");
    server.mostLogprobs(50);
    open(plain(RemoteApi.VLLM), 50, 96);
  }

  @ParameterizedTest
  @EnumSource
  void aModelThatIsNotServedIsNamedWithThoseThatAre(RemoteApi api) {
    serve(api);
    refused(options(server.url(), api, Optional.of("big"), Optional.empty()))
        .hasMessage("reflux.score.remote.model: big (expected: what the server has: teacher)");
    open(options(server.url(), api, Optional.of("teacher"), Optional.empty()), 5, 96);
  }

  @ParameterizedTest
  @EnumSource
  void sequencesThatTheServerCannotTakeAreRefused(RemoteApi api) {
    serve(api);
    server.longest(96);
    refused(plain(api))
        .hasMessage(
            "reflux.score.max-sequence-tokens: 96 (expected: at most 95, one less than the"
                + " server's max_model_len)");
    open(plain(api), 5, 95);
  }

  @Test
  void theKeyIsSentAndNeverShown() {
    serve(RemoteApi.SGLANG);
    server.apiKey("s3cret-key");
    refused(plain(RemoteApi.SGLANG))
        .hasMessageStartingWith("reflux.score.remote.api-key: missing (expected: the server's)");
    refused(options(server.url(), RemoteApi.SGLANG, Optional.empty(), Optional.of("an0ther-key")))
        .hasMessageStartingWith("reflux.score.remote.api-key: not accepted")
        .hasMessageNotContaining("an0ther");
    RemoteOptions right =
        options(server.url(), RemoteApi.SGLANG, Optional.empty(), Optional.of("s3cret-key"));
    open(right, 5, 96);
    assertThat(right.toString()).doesNotContain("s3cret");
    assertThatThrownBy(
            () ->
                options(server.url(), RemoteApi.SGLANG, Optional.empty(), Optional.of("s3\ncret")))
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith("reflux.score.remote.api-key: ")
        .hasMessageNotContaining("cret");
  }

  @Test
  void aServerOfTheOtherKindIsRecognised() {
    serve(RemoteApi.VLLM);
    server.owner("sglang");
    refused(plain(RemoteApi.VLLM))
        .hasMessageStartingWith("reflux.score.remote.api: vllm (expected: sglang, which http");
  }

  @Test
  void anAdapterThatSglangWouldPassOverIsRefused() {
    serve(RemoteApi.SGLANG);
    server.parent("base");
    refused(plain(RemoteApi.SGLANG))
        .hasMessage(
            "reflux.score.remote.model: teacher, an adapter of base"
                + " (expected: a whole model, on an SGLang server)");
  }

  @Test
  void aServerWithoutEncryptionIsNotAskedWithIt() {
    serve(RemoteApi.SGLANG);
    String url = server.url().replace("http:", "https:");
    refused(options(url, RemoteApi.SGLANG, Optional.empty(), Optional.of("key")))
        .hasMessageStartingWith("reflux.score.remote.url: " + url + "/v1/models: ")
        .hasMessageNotContaining("HTTP ");
  }

  @Test
  void nobodyThereIsOneLine() throws IOException {
    int port;
    try (ServerSocket socket = new ServerSocket(0)) {
      port = socket.getLocalPort();
    }
    refused(options("http://127.0.0.1:" + port, RemoteApi.VLLM, Optional.empty(), Optional.empty()))
        .hasMessageStartingWith("reflux.score.remote.url: http://127.0.0.1:" + port + "/v1/models")
        .hasMessageContaining("cannot be reached");
  }

  @Test
  void aPathBeforeTheApiIsKept() {
    serve(RemoteApi.VLLM);
    assertThat(server.url()).endsWith("/models/big");
    open(options(server.url() + "/v1/", RemoteApi.VLLM, Optional.empty(), Optional.empty()), 5, 96);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "teacher:8000",
        "ftp://teacher",
        "http://me:secret@teacher",
        "http://t/?a=b",
        "x y"
      })
  void whatIsNoAddressIsRefused(String url) {
    assertThatThrownBy(() -> options(url, RemoteApi.VLLM, Optional.empty(), Optional.empty()))
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith("reflux.score.remote.url: ")
        .hasMessageNotContaining("secret");
  }
}
