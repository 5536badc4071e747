package io.reflux.serving;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.serving.Client.Answer;
import io.reflux.snapshots.SigningKey;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotPublisher;
import io.reflux.snapshots.SnapshotsConfig;
import io.reflux.snapshots.TrustStore;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * What comes to a server over its topics and is not what was published, by the owner of the key
 * that it believes: refused with a reason, and the old version goes on answering.
 */
@ExtendWith(SharedStack.class)
class RefusedSnapshotTest {
  @TempDir Path temp;
  private DevStack stack;
  private Fleet source;
  private Fleet victim;
  private Copies copies;

  @BeforeEach
  void keepStack(DevStack stack) {
    this.stack = stack;
  }

  @AfterEach
  void closeFleets() {
    copies.close();
    source.close();
    victim.close();
  }

  @Test
  void corruptedChunkIsRefused() {
    signed();
    try (Fleet.Running server = serveVersionOne()) {
      source.publish(2);
      copies.copy(
          (topic, record) -> {
            byte[] changed = record.value().clone();
            if (topic == Topics.SNAPSHOT_CHUNKS) {
              // One bit, of the weights themselves.
              changed[changed.length - 7] ^= 16;
            }
            return changed;
          });
      assertRefused(server, Kind.CORRUPT_CHUNK, "model.safetensors", "crc32c");
    }
  }

  @Test
  void truncatedSnapshotIsRefused() {
    signed();
    try (Fleet.Running server = serveVersionOne()) {
      source.publish(2);
      copies.copy(
          (topic, record) ->
              topic == Topics.SNAPSHOT_CHUNKS
                  ? Arrays.copyOf(record.value(), record.value().length / 2)
                  : record.value());
      assertRefused(server, Kind.CORRUPT_CHUNK, "model.safetensors", "chunk 0");

      // And one whose weights never came.
      source.publish(3);
      copies.copy((topic, record) -> topic == Topics.SNAPSHOT_CHUNKS ? null : record.value());
      SnapshotException problem = server.awaitProblem();
      while (problem.kind() == Kind.CORRUPT_CHUNK) {
        // Version 2 was offered once more meanwhile.
        problem = server.awaitProblem();
      }
      assertThat(problem.kind()).isEqualTo(Kind.MISSING_CHUNK);
      assertServes(server, 1);
    }
  }

  @Test
  void replayedPointerIsRefused() {
    signed();
    try (Fleet.Running server = serveVersionOne()) {
      AtomicReference<byte[]> first = new AtomicReference<>();
      source.publish(2);
      copies.copy((topic, record) -> record.value());
      server.awaitVersion(2);
      copies.forEach(
          (topic, record) -> {
            if (topic == Topics.SNAPSHOT_POINTERS) {
              first.compareAndSet(null, record.value());
            }
          });
      copies.send(Topics.SNAPSHOT_POINTERS, "stable", first.get());
      SnapshotException problem = server.awaitProblem();
      assertThat(problem).hasMessageContaining("to version 1").hasMessageContaining("sent again");
      assertThat(problem.kind()).isEqualTo(Kind.BACKWARDS);
      assertServes(server, 2);
    }
  }

  @Test
  void snapshotOfAnUnknownKeyIsRefused() {
    signed();
    try (Fleet.Running server = serveVersionOne()) {
      SigningKey stranger = SigningKey.generate();
      stranger.write(temp.resolve("stranger.key"));
      SnapshotAccess theirs =
          SnapshotAccess.of(
              victim.clients(),
              snapshots(Map.of("signing-key", temp.resolve("stranger.key").toString())));
      try (SnapshotPublisher publisher = new SnapshotPublisher(theirs)) {
        victim.publish(publisher, 2);
      }
      assertRefused(server, Kind.UNTRUSTED, stranger.id());
    }
  }

  @Test
  void snapshotThatNamesAPathOutsideItsFolderIsRefused() throws IOException {
    // Where no signatures are asked for: nobody but the publisher could sign such a manifest.
    unsigned();
    try (Fleet.Running server = serveVersionOne()) {
      source.publish(2);
      AtomicReference<String> digest = new AtomicReference<>();
      copies.copy(
          (topic, record) -> {
            if (topic == Topics.SNAPSHOTS) {
              byte[] changed = withPath(record, "../../escaped.bin");
              digest.set(digestOf(changed));
              return changed;
            }
            return topic == Topics.SNAPSHOT_POINTERS
                ? withDigest(record, digest.get())
                : record.value();
          });
      assertRefused(server, Kind.UNSAFE_PATH, "../../escaped.bin");
      try (Stream<Path> files = Files.walk(temp)) {
        assertThat(files.filter(file -> file.endsWith("escaped.bin"))).isEmpty();
      }
    }
  }

  private void signed() {
    SigningKey key = SigningKey.generate();
    key.write(temp.resolve("publisher.key"));
    TrustStore.add(temp.resolve("trust"), key.publicKey(), "publisher");
    fleets(
        clients ->
            SnapshotAccess.of(
                clients,
                snapshots(
                    Map.of(
                        "signing-key", temp.resolve("publisher.key").toString(),
                        "trust", temp.resolve("trust").toString()))));
  }

  private void unsigned() {
    fleets(SnapshotAccess::unsigned);
  }

  private void fleets(Function<KafkaClients, SnapshotAccess> access) {
    source = new Fleet(stack, temp.resolve("source"), access);
    victim = new Fleet(stack, temp.resolve("victim"), access);
    copies = new Copies(source.clients(), victim.clients());
  }

  private Fleet.Running serveVersionOne() {
    source.publish(1);
    copies.copy((topic, record) -> record.value());
    Fleet.Running server = victim.server(2, 4).start();
    server.awaitVersion(1);
    assertServes(server, 1);
    return server;
  }

  private static void assertRefused(Fleet.Running server, Kind kind, String... inMessage) {
    SnapshotException problem = server.awaitProblem();
    assertThat(problem).hasMessageContainingAll(inMessage);
    assertThat(problem.kind()).isEqualTo(kind);
    assertServes(server, 1);
    assertThat(server.meter("swap_failures_total")).isPositive();
  }

  private static void assertServes(Fleet.Running server, long version) {
    Answer answer = new Client(server.service()).complete("{'prompt':'Where is','temperature':0}");
    assertThat(answer.status()).as("%s", answer.body()).isEqualTo(200);
    assertThat(answer.version()).isEqualTo(Long.toString(version));
  }

  private byte[] withPath(ConsumerRecord<String, byte[]> record, String path) {
    try {
      SnapshotManifest manifest =
          source.clients().codec().decode(record.topic(), record.value(), SnapshotManifest.class);
      manifest.getFiles().get(0).setPath(path);
      return victim
          .clients()
          .codec()
          .encode(Topics.SNAPSHOTS.fullName(victim.clients().kafka()), manifest);
    } catch (DecodeException e) {
      throw new AssertionError(e);
    }
  }

  private byte[] withDigest(ConsumerRecord<String, byte[]> record, String digest) {
    try {
      SnapshotPointer pointer =
          source.clients().codec().decode(record.topic(), record.value(), SnapshotPointer.class);
      pointer.setManifestSha256(digest);
      return victim
          .clients()
          .codec()
          .encode(Topics.SNAPSHOT_POINTERS.fullName(victim.clients().kafka()), pointer);
    } catch (DecodeException e) {
      throw new AssertionError(e);
    }
  }

  /** As pointers name a manifest: of the record without its five bytes of wire format. */
  private static String digestOf(byte[] record) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(record, 5, record.length - 5);
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  private static SnapshotsConfig snapshots(Map<String, String> settings) {
    SmallRyeConfigBuilder builder = new SmallRyeConfigBuilder().withMapping(SnapshotsConfig.class);
    settings.forEach((key, value) -> builder.withDefaultValue("reflux.snapshots." + key, value));
    return builder.build().getConfigMapping(SnapshotsConfig.class);
  }
}
