package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.SnapshotBlock;
import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(SharedStack.class)
class SnapshotDeltaTest {
  private static final int WEIGHT_BYTES = 60_000;

  @TempDir Path temp;
  private DevStack stack;
  private Loop loop;
  private SnapshotAccess access;
  private SnapshotPublisher publisher;
  private Path model;
  private Path cache;

  @BeforeEach
  void newLoop(DevStack stack) throws IOException {
    this.stack = stack;
    loop = Loop.on(stack);
    access = access(loop);
    publisher = new SnapshotPublisher(access, temp.resolve("work"));
    model = Loop.model(temp, WEIGHT_BYTES, 1);
    cache = temp.resolve("cache");
  }

  @AfterEach
  void closePublisher() {
    publisher.close();
  }

  @Test
  void oneInThreeIsWholeAndAllComeBackBitForBit() throws IOException {
    SnapshotFetcher follower = new SnapshotFetcher(access, cache);
    for (long version = 1; version <= 7; version++) {
      SnapshotManifest manifest = publishNext();
      boolean whole = version % 3 == 1;
      assertThat(manifest.getDeltaBase()).isEqualTo(whole ? null : version - 1);
      SnapshotFile weights = weights(manifest);
      assertThat(weights.getBlocks()).hasSize(whole ? 0 : 1);
      if (!whole) {
        assertThat(weights.getBlocks().get(0).getSizeBytes()).isLessThan(WEIGHT_BYTES / 4);
      }
      assertSame(follower.fetch(version));
      follower.retain(Set.of(version));
    }
    // Nothing of the versions between is here.
    assertSame(new SnapshotFetcher(access, temp.resolve("fresh")).fetch(7));
    publishNext();
    publishNext();
    assertSame(new SnapshotFetcher(access, temp.resolve("fresher")).fetch(9));
    try (var entries = Files.list(temp.resolve("fresher"))) {
      assertThat(entries).containsExactly(temp.resolve("fresher/9"));
    }
  }

  @Test
  void publisherThatLostItsCopyPublishesAWholeOne() throws IOException {
    publishNext();
    Path copy = temp.resolve("work/base-1/model.safetensors");
    Files.write(copy, new byte[] {1});
    assertThat(publishNext().getDeltaBase()).isNull();
    assertThat(publishNext().getDeltaBase()).isEqualTo(2);
    SnapshotFiles.deleteRecursively(temp.resolve("work"));
    assertThat(publishNext().getDeltaBase()).isNull();
    assertSame(new SnapshotFetcher(access, cache).fetch(4));
  }

  @Test
  void publisherThatStartsAgainBuildsOnWhatItKept() throws IOException {
    publishNext();
    publisher.close();
    publisher = new SnapshotPublisher(access, temp.resolve("work"));
    assertThat(publishNext().getDeltaBase()).isEqualTo(1);
    assertSame(new SnapshotFetcher(access, cache).fetch(2));
  }

  @Test
  void bytesThatHaveNothingInCommonTravelWhole() throws IOException {
    publishNext();
    Loop.file(model, "model.safetensors", WEIGHT_BYTES, 77);
    assertThat(publish().getDeltaBase()).isNull();
  }

  @Test
  void unchangedFileOfDifferencesIsNotTakenForOneOfTheNextVersion() throws IOException {
    publishNext();
    publishNext();
    SnapshotManifest third = publish();
    assertThat(third.getDeltaBase()).isEqualTo(2);
    assertThat(weights(third).getBlocks().get(0).getSizeBytes()).isLessThan(100);
    assertSame(new SnapshotFetcher(access, cache).fetch(3));
  }

  @Test
  void corruptDifferencesAreRefusedAndTheOldVersionStays() throws IOException {
    publishNext();
    String block = weights(publishNext()).getBlocks().get(0).getSha256();
    SnapshotFetcher before = new SnapshotFetcher(access, cache);
    Path old = before.fetch(1);
    Loop bad =
        copied(
            record -> {
              SnapshotChunk chunk = chunk(record);
              if (!chunk.getFileSha256().equals(block)) {
                return record;
              }
              byte[] data = new byte[chunk.getData().remaining()];
              chunk.getData().get(data);
              data[60] ^= 1;
              chunk.setData(java.nio.ByteBuffer.wrap(data));
              chunk.setCrc32c(ChunkGathering.crc32c(chunk.getData()));
              return Loop.withValue(record, loop.clients().codec().encode(record.topic(), chunk));
            },
            manifest -> {});
    assertThatThrownBy(() -> new SnapshotFetcher(access(bad), cache).fetch(2))
        .hasMessageContaining("snapshot 2, file model.safetensors, a block of it")
        .hasMessageContaining(block)
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.CORRUPT_FILE);
    assertThat(old).isDirectory();
    assertThat(cache.resolve("2")).doesNotExist();
  }

  @Test
  void differencesFromAnotherVersionAreRefused() throws IOException {
    publishNext();
    publishNext();
    publishNext();
    Loop bad =
        copied(
            UnaryOperator.identity(),
            manifest -> {
              if (manifest.getVersion() == 3) {
                manifest.setDeltaBase(1L);
              }
            });
    assertThatThrownBy(() -> new SnapshotFetcher(access(bad), cache).fetch(3))
        .hasMessageContaining(
            "snapshot 3, file model.safetensors: differences from version 1: block 0 of 1: builds"
                + " on a file with sha256")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.BAD_DELTA);
    assertThat(cache.resolve("3")).doesNotExist();
  }

  @Test
  void missingBaseIsNamed() throws IOException {
    publishNext();
    publishNext();
    Loop bad = Loop.on(stack);
    loop.copyTo(bad, Topics.SNAPSHOT_CHUNKS, UnaryOperator.identity());
    loop.copyTo(bad, Topics.SNAPSHOTS, record -> record.key().equals("1") ? null : record);
    assertThatThrownBy(() -> new SnapshotFetcher(access(bad), cache).fetch(2))
        .hasMessageContaining("snapshot 2: differences from version 1, whose manifest is gone")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.BAD_DELTA);
  }

  @Test
  void changedBaseInTheCacheIsNotBuiltOn() throws IOException {
    publishNext();
    publishNext();
    SnapshotFetcher fetcher = new SnapshotFetcher(access, cache);
    Path weights = fetcher.fetch(1).resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    bytes[100] ^= 1;
    Files.write(weights, bytes);
    assertSame(fetcher.fetch(2));
  }

  @Test
  void manifestWhoseDifferencesCannotBeIsRefused() throws IOException {
    publishNext();
    SnapshotManifest good = publishNext();
    List<Consumer<SnapshotManifest>> lies =
        List.of(
            manifest -> manifest.setDeltaBase(null),
            manifest -> manifest.setDeltaBase(2L),
            manifest -> manifest.setDeltaBase(0L),
            manifest -> weights(manifest).getBlocks().get(0).setSha256("../../etc"),
            manifest -> weights(manifest).getBlocks().get(0).setSizeBytes(1L << 40),
            manifest ->
                weights(manifest)
                    .setBlocks(
                        List.of(
                            new SnapshotBlock("0".repeat(64), 1L),
                            new SnapshotBlock("1".repeat(64), 1L))));
    for (Consumer<SnapshotManifest> lie : lies) {
      SnapshotManifest manifest = SnapshotManifest.newBuilder(good).build();
      lie.accept(manifest);
      assertThatThrownBy(() -> SnapshotFiles.check(manifest))
          .extracting(e -> ((SnapshotException) e).kind())
          .isEqualTo(Kind.BAD_MANIFEST);
    }
  }

  @Test
  void clearingKeepsWhatKeptVersionsBuildOn() throws IOException {
    for (int version = 1; version <= 6; version++) {
      publishNext();
    }
    SnapshotCatalog catalog = new SnapshotCatalog(access);
    assertThat(publisher.clearable(Set.of(2L), Duration.ZERO)).containsExactly(3L);
    assertThat(catalog.list()).hasSize(6);
    // The channel serves 6, which builds on 5, and that on 4.
    assertThat(publisher.clear(Set.of(2L), Duration.ZERO)).containsExactly(3L);
    assertThat(publisher.clear(Set.of(), Duration.ofHours(1))).containsExactly(1L, 2L);
    assertThat(publisher.clear(Set.of(), Duration.ZERO)).isEmpty();
    assertThat(catalog.list()).extracting(SnapshotManifest::getVersion).containsExactly(4L, 5L, 6L);
    try (SnapshotStores stores = access.openStores()) {
      // Weights of 4, differences of 5 and 6, and the tokenizer of all.
      assertThat(stores.target().list()).hasSize(4);
    }
    assertSame(new SnapshotFetcher(access, cache).fetch(6));
    assertThatThrownBy(() -> new SnapshotFetcher(access, cache).fetch(3))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.NOT_FOUND);
    assertThat(publishNext().getVersion()).isEqualTo(7);
    assertSame(new SnapshotFetcher(access, cache).fetch(7));
  }

  /** The student a little later. */
  private SnapshotManifest publishNext() throws IOException {
    Path weights = model.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    Random random = new Random(bytes[0]);
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] += (byte) Math.rint(0.5 * random.nextGaussian());
    }
    bytes[0]++;
    Files.write(weights, bytes);
    return publish();
  }

  private SnapshotManifest publish() {
    return publisher.publish(model, Loop.info(1), "stable");
  }

  private void assertSame(Path fetched) {
    for (String file : List.of("model.safetensors", "tokenizer.json")) {
      assertThat(fetched.resolve(file)).hasSameBinaryContentAs(model.resolve(file));
    }
  }

  private static SnapshotAccess access(Loop loop) {
    return SnapshotAccess.of(
        loop.clients(), Keys.config(Optional.empty(), Optional.empty(), KafkaStore.KIND, 3));
  }

  private static SnapshotFile weights(SnapshotManifest manifest) {
    return manifest.getFiles().stream()
        .filter(file -> file.getPath().equals("model.safetensors"))
        .findFirst()
        .orElseThrow();
  }

  private Loop copied(
      UnaryOperator<ConsumerRecord<String, byte[]>> chunks, Consumer<SnapshotManifest> change) {
    Loop other = Loop.on(stack);
    loop.copyTo(other, Topics.SNAPSHOT_CHUNKS, chunks);
    loop.copyTo(
        other,
        Topics.SNAPSHOTS,
        record -> {
          try {
            SnapshotManifest manifest =
                loop.clients()
                    .codec()
                    .decode(record.topic(), record.value(), SnapshotManifest.class);
            change.accept(manifest);
            return Loop.withValue(
                record, other.clients().codec().encode(other.name(Topics.SNAPSHOTS), manifest));
          } catch (DecodeException e) {
            throw new AssertionError(e);
          }
        });
    return other;
  }

  private SnapshotChunk chunk(ConsumerRecord<String, byte[]> record) {
    try {
      return loop.clients().codec().decode(record.topic(), record.value(), SnapshotChunk.class);
    } catch (DecodeException e) {
      throw new AssertionError(e);
    }
  }
}
