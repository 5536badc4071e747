package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotStore.Content;
import io.reflux.snapshots.SnapshotStore.Wanted;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(SharedStack.class)
class S3StoreTest {
  private static final int LARGE = 10 << 20;
  private static final List<String> PROPERTIES =
      List.of("aws.accessKeyId", "aws.secretAccessKey", "aws.disableEc2Metadata");

  @TempDir static Path serverDirectory;
  private static S3Server server;

  @TempDir Path temp;
  private String prefix;
  private S3Store store;

  @BeforeAll
  static void startServer() {
    PROPERTIES.forEach(name -> System.setProperty(name, "true"));
    server = S3Server.start(serverDirectory);
  }

  @AfterAll
  static void stopServer() {
    server.close();
    PROPERTIES.forEach(System::clearProperty);
  }

  @BeforeEach
  void newPrefix() {
    prefix = "t" + UUID.randomUUID().toString().substring(0, 8) + "/live";
    store = store(server.endpoint());
  }

  @AfterEach
  void closeStore() {
    store.close();
  }

  @Test
  void keepsListsAndDeletesObjectsOfOneRequestAndOfManyParts() throws IOException {
    Content small = content("small", 100);
    Content large = content("large", LARGE);
    Content empty = content("empty", 0);
    Instant before = Instant.now().minusSeconds(5);
    assertThat(store.holds(object(large))).isFalse();
    store.put(List.of(small, large, empty));
    store.put(List.of(small));
    assertThat(store.holds(object(large))).isTrue();
    assertThat(store.list())
        .containsOnlyKeys(small.sha256(), large.sha256(), empty.sha256())
        .allSatisfy((sha256, time) -> assertThat(time).isAfter(before));
    for (Content content : List.of(small, large, empty)) {
      assertThat(get(store, content)).hasSameBinaryContentAs(content.source());
    }
    store.delete(Set.of(large.sha256(), "0".repeat(64)));
    assertThat(store.list()).containsOnlyKeys(small.sha256(), empty.sha256());
    assertThatThrownBy(() -> get(store, large))
        .hasMessageContaining("file large: no " + prefix + "/sha256/" + large.sha256())
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.MISSING_CHUNK);
  }

  @Test
  void serverThatDiesMidwayLeavesNoObjectAndTheNextAttemptSucceeds() throws IOException {
    Content large = content("large", LARGE);
    try (FlakyProxy proxy = new FlakyProxy(server.port());
        S3Store flaky = store(proxy.endpoint())) {
      proxy.dieAfterSending(LARGE / 2);
      assertThatThrownBy(() -> flaky.put(List.of(large)))
          .hasMessageContaining("s3://" + S3Server.BUCKET + "/" + prefix)
          .hasMessageContaining("not reachable")
          .hasMessageNotContaining("\n")
          .extracting(e -> ((SnapshotException) e).kind())
          .isEqualTo(Kind.STORE);
      assertThat(proxy.isDead()).isTrue();
      assertThat(store.list()).isEmpty();
      proxy.revive();
      flaky.put(List.of(large));
      assertThat(get(flaky, large)).hasSameBinaryContentAs(large.source());
    }
  }

  @Test
  void brokenDownloadGoesOnFromWhereItBroke() throws IOException {
    Content large = content("large", LARGE);
    store.put(List.of(large));
    try (FlakyProxy proxy = new FlakyProxy(server.port());
        S3Store flaky = store(proxy.endpoint())) {
      proxy.breakAfterReceiving(LARGE / 3);
      assertThat(get(flaky, large)).hasSameBinaryContentAs(large.source());
    }
  }

  @Test
  void bytesThatAreNotWhatTheirNameSaysAreRefused() throws IOException {
    Content good = content("good", 1000);
    Content liar = new Content("a".repeat(64), good.sizeBytes(), good.source());
    assertThatThrownBy(() -> store.put(List.of(liar))).hasMessageContaining("changed while");
    Content large = content("large", LARGE);
    Content largeLiar = new Content("b".repeat(64), LARGE, large.source());
    assertThatThrownBy(() -> store.put(List.of(largeLiar))).hasMessageContaining("changed while");
    assertThat(store.list()).isEmpty();
    store.put(List.of(good));
    Wanted longer =
        new Wanted(
            "file x",
            new StoredObject(good.sha256(), 999, 1, StoredObject.Place.UNKNOWN),
            temp.resolve("shorter"));
    assertThatThrownBy(() -> store.get(List.of(longer)))
        .hasMessageContaining("(expected: 999 bytes with " + good.sha256())
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.CORRUPT_FILE);
  }

  @Test
  void missingBucketIsOneLine() throws IOException {
    Content content = content("x", 10);
    try (S3Store other =
        new S3Store(
            new StoreUrl.S3(
                "nowhere", "", Optional.of(server.endpoint()), Optional.empty(), true))) {
      assertThatThrownBy(() -> other.put(List.of(content)))
          .hasMessage(
              "s3://nowhere/ at "
                  + server.endpoint()
                  + ": no such bucket (expected: one that exists; it is not made here)");
      assertThatThrownBy(other::list).hasMessageContaining("no such bucket");
    }
  }

  @Test
  void deniedAccessIsOneLine() throws IOException {
    byte[] answer =
        "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            .getBytes(StandardCharsets.UTF_8);
    HttpServer denying =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    denying.createContext(
        "/",
        exchange -> {
          exchange.getRequestBody().readAllBytes();
          exchange.sendResponseHeaders(403, answer.length);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    denying.start();
    Content content = content("x", 10);
    try (S3Store denied = store(URI.create("http://127.0.0.1:" + denying.getAddress().getPort()))) {
      assertThatThrownBy(() -> denied.put(List.of(content)))
          .hasMessageContaining(
              "access denied, AccessDenied (expected: credentials that may read, write and list")
          .extracting(e -> ((SnapshotException) e).kind())
          .isEqualTo(Kind.STORE);
    } finally {
      denying.stop(0);
    }
  }

  @Test
  void snapshotsOfDifferencesTravelThroughTheBucketAndTheirManifestsThroughKafka(DevStack stack)
      throws IOException {
    Loop loop = Loop.on(stack);
    SnapshotAccess access =
        SnapshotAccess.of(
            loop.clients(),
            Keys.config(
                Optional.empty(),
                Optional.empty(),
                "s3://%s/%s?endpoint=%s&path-style=true"
                    .formatted(S3Server.BUCKET, prefix, server.endpoint()),
                10));
    Path model = Loop.model(temp, 50_000, 1);
    try (SnapshotPublisher publisher = new SnapshotPublisher(access, temp.resolve("work"))) {
      publisher.publish(model, Loop.info(1), "stable");
      Path weights = model.resolve("model.safetensors");
      byte[] bytes = Files.readAllBytes(weights);
      for (int i = 0; i < bytes.length; i += 7) {
        bytes[i]++;
      }
      Files.write(weights, bytes);
      SnapshotManifest second = publisher.publish(model, Loop.info(2), "stable");
      assertThat(second.getDeltaBase()).isEqualTo(1);
      assertThat(second.getFiles()).allSatisfy(f -> assertThat(f.getStore()).isEqualTo("s3"));
    }
    assertThat(loop.records(Topics.SNAPSHOT_CHUNKS)).isEmpty();
    Path fetched = new SnapshotFetcher(access, temp.resolve("cache")).fetch(2);
    for (String file : List.of("model.safetensors", "tokenizer.json")) {
      assertThat(fetched.resolve(file)).hasSameBinaryContentAs(model.resolve(file));
    }
    assertThatThrownBy(() -> new SnapshotFetcher(loop.clients(), temp.resolve("other")).fetch(1))
        .hasMessage(
            "snapshot 1, file model.safetensors: in a store of kind s3 (expected: kafka, as"
                + " reflux.snapshots.store says)")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.STORE);
  }

  private S3Store store(URI endpoint) {
    return new S3Store(
        new StoreUrl.S3(S3Server.BUCKET, prefix, Optional.of(endpoint), Optional.empty(), true));
  }

  private Content content(String name, int bytes) throws IOException {
    Path file = Loop.file(temp, name, bytes, name.hashCode());
    return new Content(Digests.ofFile(file), bytes, file);
  }

  private static StoredObject object(Content content) {
    return new StoredObject(content.sha256(), content.sizeBytes(), 1, StoredObject.Place.UNKNOWN);
  }

  private Path get(SnapshotStore from, Content content) {
    Path target = temp.resolve("got-" + UUID.randomUUID());
    String name = "file " + content.source().getFileName();
    from.get(List.of(new Wanted(name, object(content), target)));
    return target;
  }
}
