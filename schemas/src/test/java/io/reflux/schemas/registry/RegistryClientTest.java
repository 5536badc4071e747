package io.reflux.schemas.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.service.RefluxException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.apache.avro.Schema;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RegistryClientTest {
  private static final RegistryHttp.Patience SHORT =
      new RegistryHttp.Patience(3, Duration.ofSeconds(5), Duration.ofMillis(1));
  private static final Schema REQUEST = MirroredRequest.getClassSchema();

  private final AtomicLong nanos = new AtomicLong();
  private TestRegistry registry;
  private RegistryClient client;

  @BeforeEach
  void start() {
    registry = TestRegistry.start();
    client = client(registry.config());
  }

  @AfterEach
  void stop() {
    registry.close();
  }

  private RegistryClient client(RegistryConfig config) {
    return new RegistryClient(new RegistryHttp(config, SHORT), nanos::get);
  }

  @Test
  void registersOnceAndRemembers() {
    int id = client.register("t-value", REQUEST);

    assertThat(client.register("t-value", REQUEST)).isEqualTo(id);
    assertThat(client.idOf("t-value", REQUEST)).hasValue(id);
    assertThat(registry.requests()).containsExactly("POST /subjects/t-value/versions");
  }

  @Test
  void registersWithoutJavasHints() {
    int id = client.register("t-value", REQUEST);

    Schema kept = client.byId(id).orElseThrow();
    assertThat(kept.toString()).doesNotContain("avro.java.string");
    assertThat(kept.getField("request_id").doc()).isNotBlank();
  }

  @Test
  void sameSchemaUnderTwoSubjectsIsRegisteredTwice() {
    int id = client.register("a-value", REQUEST);

    assertThat(client.register("b-value", REQUEST)).isEqualTo(id);
    assertThat(client.subjects()).containsExactly("a-value", "b-value");
  }

  @Test
  void looksUpWithoutRegistering() {
    assertThat(client.idOf("t-value", REQUEST)).isEqualTo(OptionalInt.empty());
    client.register("t-value", Rollout.getClassSchema());
    assertThat(client.idOf("t-value", REQUEST)).isEqualTo(OptionalInt.empty());
  }

  @Test
  void latestVersion() {
    assertThat(client.latest("t-value")).isEmpty();
    client.register("t-value", Rollout.getClassSchema());
    int id = client.register("t-value", REQUEST);

    RegistryClient.Registered latest = client.latest("t-value").orElseThrow();
    assertThat(latest.version()).isEqualTo(2);
    assertThat(latest.id()).isEqualTo(id);
    assertThat(latest.schema().getName()).isEqualTo("MirroredRequest");
  }

  @Test
  void compatibilityOfAFirstSchemaIsGranted() {
    assertThat(client.isCompatible("t-value", REQUEST)).isTrue();
    client.register("t-value", Rollout.getClassSchema());
    assertThat(client.isCompatible("t-value", REQUEST)).isFalse();
  }

  @Test
  void subjectsMayHoldAnyCharacter() {
    client.register("a b/c%-value", REQUEST);

    assertThat(registry.requests()).containsExactly("POST /subjects/a%20b%2Fc%25-value/versions");
  }

  @Test
  void unknownIdIsNotAskedForAgainForSeconds() {
    assertThat(client.byId(77)).isEmpty();
    assertThat(client.byId(77)).isEmpty();
    assertThat(registry.requests()).hasSize(1);

    nanos.addAndGet(Duration.ofSeconds(11).toNanos());
    assertThat(client.byId(77)).isEmpty();
    assertThat(registry.requests()).hasSize(2);
  }

  @Test
  void schemasOfOtherLanguagesAreNotAvro() {
    registry.answerNext(200, "{\"schemaType\":\"PROTOBUF\",\"schema\":\"message M {}\"}");

    assertThat(client.byId(5)).isEmpty();
  }

  @Test
  void conflictIsOneLineWithTheAddress() {
    registry.answerNext(
        409, "{\"error_code\":409,\"message\":\"Schema is\\n  incompatible with version 1\"}");

    RegistryException e =
        catchThrowableOfType(RegistryException.class, () -> client.register("t-value", REQUEST));

    assertThat(e)
        .hasMessage(
            "Schema registry %s: POST /subjects/t-value/versions: HTTP 409"
                + " (Schema is incompatible with version 1)",
            registry.url());
    assertThat(e.status()).isEqualTo(409);
    assertThat(e.isTransient()).isFalse();
    assertThat(registry.requests()).hasSize(1);
  }

  @Test
  void serverErrorsAreTriedAgain() {
    registry.answerNext(503, "");
    registry.answerNext(429, "{}");

    assertThat(client.register("t-value", REQUEST)).isPositive();
    assertThat(registry.requests()).hasSize(3);
  }

  @Test
  void patienceEnds() {
    for (int i = 0; i < 3; i++) {
      registry.answerNext(500, "{\"error_code\":50001,\"message\":\"Error in the backend\"}");
    }

    RegistryException e = catchThrowableOfType(RegistryException.class, () -> client.byId(1));

    assertThat(e).hasMessageEndingWith("HTTP 500 (Error in the backend)");
    assertThat(e.isTransient()).isTrue();
    assertThat(registry.requests()).hasSize(3);
  }

  @Test
  void garbageIsNamed() {
    registry.answerNext(200, "<html>");
    assertThatExceptionOfType(RegistryException.class)
        .isThrownBy(() -> client.byId(1))
        .withMessageContaining("not JSON")
        .withMessageContaining(registry.url());

    registry.answerNext(200, "{\"schema\":\"{\\\"type\\\":\\\"nonsense\\\"}\"}");
    assertThatExceptionOfType(RegistryException.class)
        .isThrownBy(() -> client.byId(1))
        .withMessageContaining("nonsense")
        .withMessageContaining("expected: an Avro schema");

    registry.answerNext(200, "{\"id\":\"seven\"}");
    assertThatExceptionOfType(RegistryException.class)
        .isThrownBy(() -> client.register("t-value", REQUEST))
        .withMessageContaining("expected: a whole number");
  }

  @Test
  void a404OfAWrongAddressIsNoUnknownId() {
    registry.answerNext(404, "<html>no such page</html>");

    assertThatExceptionOfType(RegistryException.class)
        .isThrownBy(() -> client.byId(1))
        .withMessageContaining("HTTP 404");
  }

  @Test
  void basicAuthentication() {
    registry.requireAuthorization("Basic bWU6c8OpY3JldA==");

    assertThatExceptionOfType(RegistryException.class)
        .isThrownBy(() -> client.subjects())
        .withMessageContaining("HTTP 401")
        .withMessageContaining("reflux.registry.username");
    assertThat(
            client(
                    new TestRegistry.Config(
                        registry.url(),
                        Optional.of("me"),
                        Optional.of("sécret"),
                        Optional.empty(),
                        Optional.empty()))
                .subjects())
        .isEmpty();
  }

  @Test
  void goesToTheNextAddressWhenOneIsDown() throws Exception {
    String down;
    try (ServerSocket socket = new ServerSocket(0)) {
      down = "http://127.0.0.1:" + socket.getLocalPort();
    }

    RegistryClient both = client(TestRegistry.config(down + ", " + registry.url() + "/"));

    assertThat(both.register("t-value", REQUEST)).isPositive();
    both.requireReachable(Duration.ofSeconds(5));
  }

  @Test
  void nothingThereIsOneLineWithTheAddress() {
    registry.close();

    RegistryException e =
        catchThrowableOfType(
            RegistryException.class, () -> client.requireReachable(Duration.ofSeconds(5)));

    assertThat(e)
        .hasMessageStartingWith(
            "Schema registry " + registry.url() + ": no answer to GET /subjects")
        .hasMessageContaining("reflux.registry.url");
    assertThat(e.getMessage()).doesNotContain("\n");
    assertThat(e.isTransient()).isTrue();
  }

  @Test
  void silenceEndsAtTheTimeout() throws Exception {
    try (ServerSocket silent = new ServerSocket(0)) {
      RegistryClient waiting =
          client(TestRegistry.config("http://127.0.0.1:" + silent.getLocalPort()));

      assertThatExceptionOfType(RegistryException.class)
          .isThrownBy(() -> waiting.requireReachable(Duration.ofMillis(200)));
    }
  }

  @Test
  void addressesThatAreNoneAreRefusedAtOnce() {
    for (String url : new String[] {"", "localhost:8081", "ftp://h", "http://a b", "http://ok,"}) {
      assertThatExceptionOfType(RefluxException.class)
          .isThrownBy(() -> client(TestRegistry.config(url)))
          .withMessageStartingWith("reflux.registry.url: ");
    }
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> client(TestRegistry.config("http://me:secret@host:1")))
        .withMessage(
            "reflux.registry.url: …@host (expected: no user in it; set reflux.registry.username)");
  }

  @Test
  void tlsWithItsOwnAuthority(@TempDir Path folder) throws Exception {
    Path store = selfSigned(folder);
    HttpsServer server = HttpsServer.create(TestRegistry.loopback(), 0);
    server.setHttpsConfigurator(new HttpsConfigurator(serverContext(store)));
    try (TestRegistry secure = TestRegistry.on(server, "https")) {
      assertThatExceptionOfType(RegistryException.class)
          .isThrownBy(() -> client(secure.config()).requireReachable(Duration.ofSeconds(5)));
      RegistryClient trusting = client(withTruststore(secure.url(), store, "changeit"));
      assertThat(trusting.register("t-value", REQUEST)).isPositive();
    }
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> client(withTruststore("https://h", store, "wrong")))
        .withMessageStartingWith("reflux.registry.truststore: " + store);
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> client(withTruststore("https://h", folder.resolve("no.p12"), "wrong")))
        .withMessageContaining("expected: a readable PKCS#12 or JKS file");
  }

  private static RegistryConfig withTruststore(String url, Path store, String password) {
    return new TestRegistry.Config(
        url, Optional.empty(), Optional.empty(), Optional.of(store), Optional.of(password));
  }

  private static Path selfSigned(Path folder) throws Exception {
    Path store = folder.resolve("registry.p12");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "registry",
                "-keyalg",
                "EC",
                "-storetype",
                "PKCS12",
                "-keystore",
                store.toString(),
                "-storepass",
                "changeit",
                "-dname",
                "CN=registry",
                "-ext",
                "SAN=IP:127.0.0.1",
                "-validity",
                "2")
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("keytool.log").toFile())
            .start();
    assertThat(keytool.waitFor(30, TimeUnit.SECONDS)).isTrue();
    assertThat(store).as(Files.readString(folder.resolve("keytool.log"))).exists();
    return store;
  }

  private static SSLContext serverContext(Path store) throws Exception {
    KeyStore keys = KeyStore.getInstance(store.toFile(), "changeit".toCharArray());
    KeyManagerFactory managers =
        KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    managers.init(keys, "changeit".toCharArray());
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(managers.getKeyManagers(), null, null);
    return context;
  }
}
