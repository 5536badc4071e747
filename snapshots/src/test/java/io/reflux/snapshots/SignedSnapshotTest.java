package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Forged, changed and replayed records on a real broker: refused, and the old version stays. */
@ExtendWith(SharedStack.class)
class SignedSnapshotTest {
  @TempDir Path temp;
  private DevStack stack;
  private Loop loop;
  private Keys keys;
  private Path trust;
  private SnapshotAccess access;
  private Fleet fleet;

  @BeforeEach
  void signedLoop(DevStack stack) {
    this.stack = stack;
    loop = Loop.on(stack);
    keys = new Keys(temp.resolve("keys"));
    trust = keys.trust("trust", "publisher");
    access = keys.access(loop.clients(), "publisher", trust);
  }

  @AfterEach
  void closeFleet() {
    if (fleet != null) {
      fleet.close();
    }
  }

  @Test
  void signedSnapshotIsServedAndStrangersChangeNothing() throws Exception {
    Path model = Loop.model(temp, 1000, 1);
    publish(access, model, 1);
    fleet = new Fleet(access, temp.resolve("fleet"));
    assertThat(fleet.served()).isEqualTo(1);

    // Unsigned, by somebody who can write the topics and has no key.
    SnapshotPointer good = new SnapshotCatalog(access).pointer("stable").orElseThrow();
    SnapshotPointer forged =
        SnapshotPointer.newBuilder(good)
            .setMovedAt(good.getMovedAt().plusSeconds(1))
            .clearKeyId()
            .clearSignature()
            .build();
    loop.send(
        Topics.SNAPSHOT_POINTERS,
        "stable",
        loop.clients().codec().encode(loop.name(Topics.SNAPSHOT_POINTERS), forged));
    assertThat(fleet.problem())
        .hasMessageContaining("pointer of channel stable to version 1: unsigned")
        .extracting(SnapshotException::kind)
        .isEqualTo(Kind.UNTRUSTED);

    // Signed, with a key that nobody here trusts.
    publish(keys.access(loop.clients(), "stranger", null), model, 2);
    assertThat(fleet.problem())
        .hasMessageContaining("signed by key " + keys.key("stranger").id())
        .extracting(SnapshotException::kind)
        .isEqualTo(Kind.UNTRUSTED);
    assertThat(fleet.watcher.served()).hasValue(1);
    assertThatThrownBy(() -> new SnapshotFetcher(access, temp.resolve("cache")).fetch(2))
        .hasMessageContaining("manifest of version 2: signed by key")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNTRUSTED);
    assertThat(temp.resolve("cache")).doesNotExist();

    // Nor does a process of ours without a key move a channel whose moves are signed.
    assertThatThrownBy(
            () ->
                new SnapshotPointers(SnapshotAccess.unsigned(loop.clients()))
                    .rollback("stable", 1, "no"))
        .hasMessageEndingWith("for the moves of channel stable are signed)");

    // Nothing older is given in place of what cannot be believed, nor promoted over it.
    assertThatThrownBy(() -> new SnapshotCatalog(access).pointer("stable"))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNTRUSTED);
    assertThatThrownBy(() -> new SnapshotPointers(access).promote("stable", 2, "no"))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNTRUSTED);

    // Whoever holds the key repairs the channel.
    new SnapshotPointers(access).rollback("stable", 1, "forged records");
    publish(access, Loop.model(temp, 1000, 3), 3);
    assertThat(fleet.served()).isEqualTo(3);
  }

  @Test
  void replayedPointersAreRefusedWhileServingAndAfterARestart() throws Exception {
    SnapshotPointers pointers = new SnapshotPointers(access);
    publish(access, Loop.model(temp, 100, 1), 1);
    publish(access, Loop.model(temp, 100, 2), 2);
    SnapshotPointer back = pointers.rollback("stable", 1, "worse");
    publish(access, Loop.model(temp, 100, 3), 3);
    assertThat(back.getPrevious()).isEqualTo(2);
    ConsumerRecord<String, byte[]> rollback = loop.records(Topics.SNAPSHOT_POINTERS).get(2);

    fleet = new Fleet(access, temp.resolve("fleet"));
    assertThat(fleet.served()).isEqualTo(3);
    loop.send(Topics.SNAPSHOT_POINTERS, "stable", rollback.value());
    assertThat(fleet.problem())
        .hasMessageContaining("to version 1, moved at " + back.getMovedAt())
        .hasMessageContaining("an old record was sent again")
        .extracting(SnapshotException::kind)
        .isEqualTo(Kind.BACKWARDS);
    assertThat(fleet.watcher.served()).hasValue(3);
    assertThat(new SnapshotCatalog(access).pointer("stable").orElseThrow().getVersion())
        .isEqualTo(3);
    fleet.close();

    // What compaction leaves when the replayed record is the newest: only the memory helps.
    Loop compacted = Loop.on(stack);
    compacted.send(Topics.SNAPSHOT_POINTERS, "stable", rollback.value());
    fleet = new Fleet(keys.access(compacted.clients(), "publisher", trust), temp.resolve("fleet"));
    assertThat(fleet.problem())
        .hasMessageContaining("an old record was sent again")
        .extracting(SnapshotException::kind)
        .isEqualTo(Kind.BACKWARDS);
    assertThat(fleet.watcher.served()).isEmpty();
  }

  @Test
  void rollbackIsFollowedAndEveryMoveIsLaterThanTheOneBefore() throws Exception {
    publish(access, Loop.model(temp, 100, 1), 1);
    publish(access, Loop.model(temp, 100, 2), 2);
    fleet = new Fleet(access, temp.resolve("fleet"));
    assertThat(fleet.served()).isEqualTo(2);
    SnapshotPointer before = new SnapshotCatalog(access).pointer("stable").orElseThrow();

    // A clock that stands still, or goes back.
    Clock stopped = Clock.fixed(Instant.EPOCH, ZoneOffset.UTC);
    SnapshotPointer back =
        new SnapshotPointers(access, stopped).rollback("stable", 1, "worse on refunds");

    assertThat(fleet.served()).isEqualTo(1);
    assertThat(back.getMovedAt()).isEqualTo(before.getMovedAt().plusMillis(1));
    assertThat(back.getRollback()).isTrue();
    assertThat(back.getReason()).isEqualTo("worse on refunds");
  }

  @Test
  void pinnedChannelMovesOnlyByHand() throws Exception {
    SnapshotPointers pointers = new SnapshotPointers(access);
    assertThatThrownBy(() -> pointers.pin("stable", "too early"))
        .hasMessage("channel stable: no pointer (expected: one, to be held where it is)");
    publish(access, Loop.model(temp, 100, 1), 1);
    fleet = new Fleet(access, temp.resolve("fleet"));
    assertThat(fleet.served()).isEqualTo(1);

    assertThat(pointers.pin("stable", "release week").getPinned()).isTrue();
    assertThat(pointers.pin("stable", "again").getReason()).isEqualTo("release week");
    publish(access, Loop.model(temp, 100, 2), 2);
    assertThat(new SnapshotCatalog(access).pointer("stable").orElseThrow().getVersion())
        .isEqualTo(1);
    assertThat(pointers.promote("stable", 2, "after all").getPinned()).isTrue();
    assertThat(fleet.served()).isEqualTo(2);
    publish(access, Loop.model(temp, 100, 3), 3);
    assertThat(pointers.unpin("stable", "over").getVersion()).isEqualTo(2);
    publish(access, Loop.model(temp, 100, 4), 4);
    assertThat(fleet.served()).isEqualTo(4);
    assertThat(fleet.problems).isEmpty();
  }

  @Test
  void publisherThatCannotSignSaysSoBeforeItUploads() throws IOException {
    SnapshotAccess reader = keys.access(loop.clients(), null, trust);
    Path model = Loop.model(temp, 100, 1);
    assertThatThrownBy(() -> publish(reader, model, 1))
        .hasMessageStartingWith("reflux.snapshots.signing-key: unset (expected: a private key");
    assertThat(loop.records(Topics.SNAPSHOT_CHUNKS)).isEmpty();
    assertThatThrownBy(() -> new SnapshotPointers(reader).pin("stable", "x"))
        .hasMessageStartingWith("reflux.snapshots.signing-key: unset");
  }

  /** A whole channel, each time with one byte of its manifest's record changed. */
  @Test
  void changedManifestIsRefusedThoughThePointerIsGood() throws Exception {
    publish(access, Loop.model(temp, 100, 1), 1);
    SnapshotPointer pointer = new SnapshotCatalog(access).pointer("stable").orElseThrow();
    byte[] manifest = loop.records(Topics.SNAPSHOTS).get(0).value();
    Random random = new Random(5);
    for (int i = 0; i < 10; i++) {
      byte[] changed = manifest.clone();
      changed[8 + random.nextInt(manifest.length - 8)] ^= (byte) (1 << random.nextInt(8));
      // The newest record of a version is the one that is looked at.
      loop.send(Topics.SNAPSHOTS, "1", changed);
      SnapshotFetcher fetcher = new SnapshotFetcher(access, temp.resolve("cache" + i));
      assertThatThrownBy(() -> fetcher.fetch(1))
          .isInstanceOf(SnapshotException.class)
          .extracting(e -> ((SnapshotException) e).kind())
          .isIn(Kind.UNTRUSTED, Kind.BAD_MANIFEST, Kind.NOT_FOUND);
      // The pointer names the good one by its digest, and it is still there.
      assertThat(fetcher.fetch(pointer).version()).isEqualTo(1);
    }
  }

  /** One flip a loop, in every part of the only copy of a chunk's record, its header included. */
  @Test
  void flippedByteAnywhereInAChunkIsRefused() throws Exception {
    publish(access, Loop.model(temp, 10, 1), 1);
    ConsumerRecord<String, byte[]> chunk = loop.records(Topics.SNAPSHOT_CHUNKS).get(0);
    Random random = new Random(3);
    for (int at = 0; at < chunk.value().length; at += 12) {
      byte[] flipped = chunk.value().clone();
      flipped[at] ^= (byte) (1 << random.nextInt(8));
      Loop bad = Loop.on(stack);
      loop.copyTo(bad, Topics.SNAPSHOTS, UnaryOperator.identity());
      loop.copyTo(
          bad,
          Topics.SNAPSHOT_CHUNKS,
          record -> record.offset() == chunk.offset() ? Loop.withValue(record, flipped) : record);
      SnapshotAccess reader = keys.access(bad.clients(), null, trust);
      Path cache = temp.resolve("flipped-" + at);
      assertThatThrownBy(() -> new SnapshotFetcher(reader, cache).fetch(1))
          .as("byte %s of %s", at, flipped.length)
          .isInstanceOf(RefluxException.class);
      assertThat(cache.resolve("1")).doesNotExist();
    }
  }

  /**
   * Every bit of manifests as they are on the topic. The digest that pointers name a manifest by
   * always differs. What decodes, and is not the very same content (a number may have unused bits),
   * differs in its signed form or in its signature. Of one manifest, flips of the signature and
   * every sixteenth other one go through Ed25519 itself, which for all would take a minute.
   */
  @Test
  void hundredThousandFlipsOfManifestsAreAllRefused() {
    String topic = loop.name(Topics.SNAPSHOTS);
    Random random = new Random(11);
    int flips = 0;
    int same = 0;
    List<String> unseen = new ArrayList<>();
    for (int round = 0; flips < 100_000; round++) {
      SnapshotManifest manifest = manifest(random);
      byte[] form = CanonicalForm.of(manifest);
      byte[] good = loop.clients().codec().encode(topic, manifest);
      String digest = Digests.ofAvroBody(good);
      for (int bit = 8 * 5; bit < 8 * good.length; bit++, flips++) {
        byte[] flipped = good.clone();
        flipped[bit / 8] ^= (byte) (1 << (bit % 8));
        if (Digests.ofAvroBody(flipped).equals(digest)) {
          unseen.add("digest, bit " + bit);
        }
        Optional<SnapshotManifest> read = decode(topic, flipped);
        if (read.isEmpty() || read.get().equals(manifest)) {
          same += read.isPresent() ? 1 : 0;
          continue;
        }
        boolean signature = !read.get().getSignature().equals(manifest.getSignature());
        boolean content = !Arrays.equals(CanonicalForm.of(read.get()), form);
        if (!signature && !content) {
          unseen.add("form, bit " + bit + " of " + manifest);
        }
        if (round == 0 && (signature || bit % 16 == 0)) {
          assertThatThrownBy(() -> access.verify(read.get()))
              .as("bit %s", bit)
              .extracting(e -> ((SnapshotException) e).kind())
              .isEqualTo(Kind.UNTRUSTED);
        }
      }
    }
    assertThat(unseen).isEmpty();
    assertThat(flips).isGreaterThanOrEqualTo(100_000);
    assertThat(same).as("flips of unused bits").isLessThan(flips / 1000);
  }

  private Optional<SnapshotManifest> decode(String topic, byte[] value) {
    try {
      return Optional.of(loop.clients().codec().decode(topic, value, SnapshotManifest.class));
    } catch (DecodeException e) {
      return Optional.empty();
    }
  }

  private SnapshotManifest manifest(Random random) {
    SnapshotManifest manifest = SignatureTest.manifest();
    manifest.setVersion(1 + random.nextInt(1 << 20));
    manifest.setSeed(random.nextLong());
    manifest.setStudentName(Long.toString(random.nextLong(), 36) + "é漢");
    manifest.setQuality(Map.of("kl", random.nextDouble(), "agreement", random.nextDouble()));
    manifest.setDeltaBase(random.nextBoolean() ? random.nextLong() : null);
    access.sign(manifest);
    return manifest;
  }

  private static void publish(SnapshotAccess by, Path model, long step) {
    try (SnapshotPublisher publisher = new SnapshotPublisher(by)) {
      publisher.publish(model, Loop.info(step), "stable");
    }
  }

  /** What follows the channel, fetches, and remembers what it served. */
  private static final class Fleet implements SnapshotWatcher.Listener {
    private final BlockingQueue<Long> moves = new LinkedBlockingQueue<>();
    private final BlockingQueue<SnapshotException> problems = new LinkedBlockingQueue<>();
    private final SnapshotFetcher fetcher;
    private final SnapshotWatcher watcher;

    Fleet(SnapshotAccess access, Path directory) {
      fetcher = new SnapshotFetcher(access, directory.resolve("cache"));
      watcher =
          new SnapshotWatcher(
              access,
              "stable",
              directory.resolve("served.json"),
              this,
              Duration.ofMillis(20),
              Duration.ofSeconds(100));
      watcher.start();
    }

    @Override
    public void moved(SnapshotPointer pointer) {
      moves.add(fetcher.fetch(pointer).version());
    }

    @Override
    public void problem(SnapshotException problem) {
      problems.add(problem);
    }

    long served() throws InterruptedException {
      Long version = moves.poll(20, TimeUnit.SECONDS);
      assertThat(version).as("a move within 20 s; problems: %s", problems).isNotNull();
      return version;
    }

    SnapshotException problem() throws InterruptedException {
      SnapshotException problem = problems.poll(20, TimeUnit.SECONDS);
      assertThat(problem).as("a problem within 20 s").isNotNull();
      return problem;
    }

    void close() {
      watcher.close();
    }
  }
}
