package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@ExtendWith(SharedStack.class)
class SnapshotRoundTripTest {
  @TempDir Path temp;
  private DevStack stack;
  private Loop loop;
  private Path cache;

  @BeforeEach
  void newLoop(DevStack stack) {
    this.stack = stack;
    loop = Loop.on(stack);
    cache = temp.resolve("cache");
  }

  @Test
  void fetchedDirectoryEqualsPublishedOne() throws IOException {
    Path model = Loop.model(temp, 2_000_000, 1);
    Loop.file(model, "deep/er/extra.bin", 3, 5);
    Loop.file(model, "empty.txt", 0, 0);
    Loop.file(model, ".cache/secret", 10, 0);
    SnapshotManifest manifest = publish(model, 7);

    assertThat(manifest.getVersion()).isEqualTo(1);
    assertThat(manifest.getParent()).isNull();
    assertThat(manifest.getTrainingStep()).isEqualTo(7);
    assertThat(manifest.getInputOffsets()).containsEntry("soft-labels-0", 17L);
    assertThat(manifest.getFiles())
        .extracting(SnapshotFile::getPath)
        .containsExactly("deep/er/extra.bin", "empty.txt", "model.safetensors", "tokenizer.json");
    assertThat(manifest.getFiles()).extracting(SnapshotFile::getChunks).containsExactly(1, 0, 3, 1);

    SnapshotFetcher fetcher = new SnapshotFetcher(loop.clients(), cache);
    Path fetched = fetcher.fetch(1);
    assertThat(fetched).isEqualTo(cache.resolve("1").toAbsolutePath());
    for (SnapshotFile file : manifest.getFiles()) {
      assertThat(fetched.resolve(file.getPath()))
          .hasSameBinaryContentAs(model.resolve(file.getPath()));
    }
    assertThat(fetched.resolve(".cache")).doesNotExist();
    assertThat(cacheEntries()).containsExactly("1");

    SnapshotCatalog catalog = new SnapshotCatalog(loop.clients());
    SnapshotPointer pointer = catalog.pointer("stable").orElseThrow();
    assertThat(pointer.getVersion()).isEqualTo(1);
    assertThat(catalog.pointer("canary")).isEmpty();
    assertThat(catalog.list()).containsExactly(manifest);
    assertThat(catalog.latest()).contains(manifest);
    FetchedSnapshot again = fetcher.fetch(pointer);
    assertThat(again).isEqualTo(new FetchedSnapshot(manifest, fetched));
  }

  @Test
  void unchangedFileTravelsOnceAndOldVersionsStayWhole() throws IOException {
    Path first = Loop.model(temp, 900_000, 1);
    Path second = Loop.model(temp, 900_000, 2);
    try (SnapshotPublisher publisher = new SnapshotPublisher(loop.clients())) {
      publisher.publish(first, Loop.info(1), "stable");
      SnapshotManifest later = publisher.publish(second, Loop.info(2), "stable");
      assertThat(later.getVersion()).isEqualTo(2);
      assertThat(later.getParent()).isEqualTo(1);
    }
    assertThat(loop.records(Topics.SNAPSHOT_CHUNKS)).hasSize(5);
    SnapshotFetcher fetcher = new SnapshotFetcher(loop.clients(), cache);
    assertThat(fetcher.fetch(2).resolve("tokenizer.json"))
        .hasSameBinaryContentAs(second.resolve("tokenizer.json"));
    assertThat(fetcher.fetch(1).resolve("model.safetensors"))
        .hasSameBinaryContentAs(first.resolve("model.safetensors"));
    fetcher.retain(Set.of(2L));
    assertThat(cacheEntries()).containsExactly("2");
  }

  @Test
  void unchangedFileTravelsAgainWhenItsChunkIsDamaged() throws IOException {
    publish(Loop.model(temp, 10, 1), 1);
    Loop damaged = Loop.on(stack);
    loop.copyTo(damaged, Topics.SNAPSHOTS, UnaryOperator.identity());
    loop.copyTo(damaged, Topics.SNAPSHOT_CHUNKS, changedChunk(c -> c.setCrc32c(1), 0, 1000));
    Path next = Loop.model(temp, 10, 2);
    try (SnapshotPublisher publisher = new SnapshotPublisher(damaged.clients())) {
      publisher.publish(next, Loop.info(2), "stable");
    }
    Path fetched = new SnapshotFetcher(damaged.clients(), cache).fetch(2);
    assertThat(fetched.resolve("tokenizer.json"))
        .hasSameBinaryContentAs(next.resolve("tokenizer.json"));
  }

  @Test
  void manifestWithoutPlacesIsFetchedByLookingEverywhere() throws IOException {
    Path model = Loop.model(temp, 800_000, 1);
    publish(model, 1);
    Loop other = Loop.on(stack);
    loop.copyTo(other, Topics.SNAPSHOT_CHUNKS, UnaryOperator.identity());
    loop.copyTo(
        other,
        Topics.SNAPSHOTS,
        changedManifest(
            other,
            file -> {
              file.setChunkPartition(-1);
              file.setFirstChunkOffset(-1);
              file.setLastChunkOffset(-1);
            }));
    assertThat(new SnapshotFetcher(other.clients(), cache).fetch(1).resolve("model.safetensors"))
        .hasSameBinaryContentAs(model.resolve("model.safetensors"));
  }

  @Test
  void corruptChunkIsNamedAndLeavesNothing() throws IOException {
    Loop bad = tampered(changedChunk(chunk -> flip(chunk.getData()), 1, 900_000));
    assertThatThrownBy(() -> new SnapshotFetcher(bad.clients(), cache).fetch(1))
        .isInstanceOf(SnapshotException.class)
        .hasMessageContaining("model.safetensors")
        .hasMessageContaining("chunk 1")
        .hasMessageContaining("crc32c")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.CORRUPT_CHUNK);
    assertThat(cacheEntries()).isEmpty();
  }

  @Test
  void forgedChunkWithMatchingChecksumIsCaughtByTheDigest() throws IOException {
    Loop bad =
        tampered(
            changedChunk(
                chunk -> {
                  flip(chunk.getData());
                  chunk.setCrc32c(ChunkGathering.crc32c(chunk.getData()));
                },
                0,
                900_000));
    assertThatThrownBy(() -> new SnapshotFetcher(bad.clients(), cache).fetch(1))
        .hasMessageContaining("model.safetensors")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.CORRUPT_FILE);
    assertThat(cacheEntries()).isEmpty();
  }

  @Test
  void chunkOfUnreadableBytesIsNamed() throws IOException {
    Loop bad =
        tampered(
            record ->
                record.key().endsWith("/1") ? Loop.withValue(record, new byte[] {9, 9}) : record);
    assertThatThrownBy(() -> new SnapshotFetcher(bad.clients(), cache).fetch(1))
        .hasMessageContaining("model.safetensors")
        .hasMessageContaining("chunk 1")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.CORRUPT_CHUNK);
  }

  @Test
  void chunkBeyondItsFileIsRefused() throws IOException {
    Loop bad = tampered(changedChunk(chunk -> chunk.setOffset(899_999), 1, 900_000));
    assertThatThrownBy(() -> new SnapshotFetcher(bad.clients(), cache).fetch(1))
        .hasMessageContaining("chunk 1")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.CORRUPT_CHUNK);
  }

  @Test
  void missingChunkIsNamedAndLeavesNothing() throws IOException {
    Loop bad = tampered(record -> record.key().endsWith("/1") ? null : record);
    assertThatThrownBy(() -> new SnapshotFetcher(bad.clients(), cache).fetch(1))
        .hasMessageContaining("model.safetensors")
        .hasMessageContaining("chunk 1 of 2")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.MISSING_CHUNK);
    assertThat(cacheEntries()).isEmpty();
  }

  @Test
  void corruptChunkIsForgivenWhenAGoodCopyFollows() throws IOException {
    Path model = Loop.model(temp, 900_000, 1);
    publish(model, 1);
    Loop healed = Loop.on(stack);
    loop.copyTo(healed, Topics.SNAPSHOT_CHUNKS, changedChunk(c -> flip(c.getData()), 1, 900_000));
    loop.copyTo(healed, Topics.SNAPSHOT_CHUNKS, UnaryOperator.identity());
    loop.copyTo(healed, Topics.SNAPSHOTS, UnaryOperator.identity());
    assertThat(new SnapshotFetcher(healed.clients(), cache).fetch(1).resolve("model.safetensors"))
        .hasSameBinaryContentAs(model.resolve("model.safetensors"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "../escaped",
        "a/../../escaped",
        "/etc/escaped",
        "a//b",
        "",
        ".",
        "a/.",
        ".hidden",
        "C:escaped",
        "a\\..\\escaped",
        "nul\u0000byte"
      })
  void pathOutsideTheSnapshotIsRefused(String path) throws IOException {
    SnapshotManifest manifest = manifestOf(path);
    assertThatThrownBy(() -> SnapshotFiles.check(manifest))
        .isInstanceOf(SnapshotException.class)
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNSAFE_PATH);
  }

  @Test
  void fetchRefusesAPathOutsideTheSnapshot() throws IOException {
    publish(Loop.model(temp, 10, 1), 1);
    Loop bad = Loop.on(stack);
    loop.copyTo(bad, Topics.SNAPSHOT_CHUNKS, UnaryOperator.identity());
    loop.copyTo(bad, Topics.SNAPSHOTS, changedManifest(bad, file -> file.setPath("../escaped")));
    assertThatThrownBy(() -> new SnapshotFetcher(bad.clients(), cache).fetch(1))
        .hasMessageContaining("../escaped")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.UNSAFE_PATH);
    assertThat(temp.resolve("escaped")).doesNotExist();
    assertThat(cache).doesNotExist();
  }

  @Test
  void manifestThatContradictsItselfIsRefused() {
    List<Consumer<SnapshotFile>> lies =
        List.of(
            file -> file.setSizeBytes(-1L),
            file -> file.setChunks(0),
            file -> file.setChunks(Integer.MAX_VALUE),
            file -> file.setSha256("ABC"));
    for (Consumer<SnapshotFile> lie : lies) {
      SnapshotManifest manifest = manifestOf("model.safetensors");
      lie.accept(manifest.getFiles().get(0));
      assertThatThrownBy(() -> SnapshotFiles.check(manifest))
          .extracting(e -> ((SnapshotException) e).kind())
          .isEqualTo(Kind.BAD_MANIFEST);
    }
  }

  @Test
  void anotherManifestOfTheSameVersionIsNotWhatThePointerNames() throws IOException {
    publish(Loop.model(temp, 10, 1), 1);
    SnapshotPointer pointer = new SnapshotCatalog(loop.clients()).pointer("stable").orElseThrow();
    Loop forged = Loop.on(stack);
    loop.copyTo(forged, Topics.SNAPSHOT_CHUNKS, UnaryOperator.identity());
    loop.copyTo(forged, Topics.SNAPSHOTS, changedManifest(forged, file -> file.setPath("other")));
    assertThatThrownBy(() -> new SnapshotFetcher(forged.clients(), cache).fetch(pointer))
        .hasMessageContaining(pointer.getManifestSha256())
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.BAD_MANIFEST);
  }

  @Test
  void unreadableManifestIsAnErrorAndItsVersionIsNotGivenAgain() throws IOException {
    loop.send(Topics.SNAPSHOTS, "4", new byte[] {1, 2, 3});
    assertThatThrownBy(() -> new SnapshotFetcher(loop.clients(), cache).fetch(4))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.BAD_MANIFEST);
    assertThat(publish(Loop.model(temp, 10, 1), 1).getVersion()).isEqualTo(5);
  }

  @Test
  void unknownVersionIsAnError() {
    assertThatThrownBy(() -> new SnapshotFetcher(loop.clients(), cache).fetch(3))
        .hasMessage("snapshot: version 3 (expected: a published one)");
  }

  @Test
  void changedCacheIsFetchedAnew() throws IOException {
    Path model = Loop.model(temp, 1000, 1);
    publish(model, 1);
    SnapshotFetcher fetcher = new SnapshotFetcher(loop.clients(), cache);
    Path file = fetcher.fetch(1).resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(file);
    bytes[500] ^= 1;
    Files.write(file, bytes);
    fetcher.fetch(1);
    assertThat(file).hasSameBinaryContentAs(model.resolve("model.safetensors"));
    Files.writeString(cache.resolve("1/added.txt"), "x");
    assertThat(fetcher.fetch(1).resolve("added.txt")).doesNotExist();
    assertThat(cacheEntries()).containsExactly("1");
  }

  @Test
  void leftoversOfAKilledFetchAreCleared() throws IOException {
    publish(Loop.model(temp, 10, 1), 1);
    Loop.file(cache.resolve(".partial-dead"), "model.safetensors", 10, 1);
    try (PartialDirectory alive = PartialDirectory.create(cache)) {
      new SnapshotFetcher(loop.clients(), cache).fetch(1);
      assertThat(alive.path()).exists();
      assertThat(cache.resolve(".partial-dead")).doesNotExist();
    }
    assertThat(cacheEntries()).containsExactly("1");
  }

  @Test
  void whatCameWholeBeforeAKillIsNotBroughtAgainAndHalvesAre(DevStack stack) throws IOException {
    Path model = Loop.model(temp, 3 << 20, 1);
    SnapshotManifest manifest = publish(model, 1);
    String weights = manifest.getFiles().get(0).getSha256();
    String tokenizer = manifest.getFiles().get(1).getSha256();
    // The same loop with the weights' chunks spoilt: they can only come from what is here.
    Loop spoilt = Loop.on(stack);
    loop.copyTo(spoilt, Topics.SNAPSHOTS, UnaryOperator.identity());
    loop.copyTo(
        spoilt,
        Topics.SNAPSHOT_CHUNKS,
        record ->
            record.key().startsWith(weights) ? Loop.withValue(record, new byte[] {1}) : record);
    Path dead = Files.createDirectories(cache.resolve(".partial-dead/.objects"));
    Files.copy(model.resolve("model.safetensors"), dead.resolve(weights));
    Files.write(dead.resolve(tokenizer), new byte[500]);
    Path fetched = new SnapshotFetcher(spoilt.clients(), cache).fetch(1);
    assertThat(fetched.resolve("model.safetensors"))
        .hasSameBinaryContentAs(model.resolve("model.safetensors"));
    assertThat(fetched.resolve("tokenizer.json"))
        .hasSameBinaryContentAs(model.resolve("tokenizer.json"));
    assertThat(cacheEntries()).containsExactly("1");
  }

  @Test
  void unusableCacheDirectoryIsAnError() throws IOException {
    publish(Loop.model(temp, 10, 1), 1);
    Path notADirectory = Files.writeString(temp.resolve("file"), "");
    assertThatThrownBy(() -> new SnapshotFetcher(loop.clients(), notADirectory).fetch(1))
        .hasMessageContaining(notADirectory.toString())
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.STORAGE);
  }

  private SnapshotManifest publish(Path model, long step) {
    try (SnapshotPublisher publisher = new SnapshotPublisher(loop.clients())) {
      return publisher.publish(model, Loop.info(step), "stable");
    }
  }

  /** A loop with a snapshot of two chunks of weights, the chunk topic changed. */
  private Loop tampered(UnaryOperator<ConsumerRecord<String, byte[]>> change) throws IOException {
    publish(Loop.model(temp, 900_000, 1), 1);
    Loop other = Loop.on(stack);
    loop.copyTo(other, Topics.SNAPSHOT_CHUNKS, change);
    loop.copyTo(other, Topics.SNAPSHOTS, UnaryOperator.identity());
    return other;
  }

  private UnaryOperator<ConsumerRecord<String, byte[]>> changedChunk(
      Consumer<SnapshotChunk> change, int index, int fileBytes) {
    return record -> {
      try {
        SnapshotChunk chunk =
            loop.clients().codec().decode(record.topic(), record.value(), SnapshotChunk.class);
        int last = (fileBytes - 1) / ChunkSender.CHUNK_BYTES;
        if (chunk.getIndex() == index && chunk.getCount() == last + 1 && isOf(chunk, fileBytes)) {
          change.accept(chunk);
        }
        return Loop.withValue(record, loop.clients().codec().encode(record.topic(), chunk));
      } catch (DecodeException e) {
        throw new AssertionError(e);
      }
    };
  }

  private static boolean isOf(SnapshotChunk chunk, int fileBytes) {
    boolean last = chunk.getIndex() == chunk.getCount() - 1;
    return !last || chunk.getOffset() + chunk.getData().remaining() == fileBytes;
  }

  private UnaryOperator<ConsumerRecord<String, byte[]>> changedManifest(
      Loop target, Consumer<SnapshotFile> change) {
    return record -> {
      try {
        SnapshotManifest manifest =
            loop.clients().codec().decode(record.topic(), record.value(), SnapshotManifest.class);
        manifest.getFiles().forEach(change);
        if (manifest.getFiles().stream().map(SnapshotFile::getPath).distinct().count()
            < manifest.getFiles().size()) {
          manifest.setFiles(manifest.getFiles().subList(0, 1));
        }
        return Loop.withValue(
            record, target.clients().codec().encode(target.name(Topics.SNAPSHOTS), manifest));
      } catch (DecodeException e) {
        throw new AssertionError(e);
      }
    };
  }

  private static SnapshotManifest manifestOf(String path) {
    SnapshotInfo info = Loop.info(1);
    return SnapshotManifest.newBuilder()
        .setVersion(1)
        .setStudentName(info.studentName())
        .setCreatedAt(java.time.Instant.EPOCH)
        .setFiles(
            List.of(
                SnapshotFile.newBuilder()
                    .setPath(path)
                    .setSizeBytes(10)
                    .setSha256("0".repeat(64))
                    .setChunks(1)
                    .build()))
        .setQuantisation("none")
        .setStudentFingerprint("")
        .setTeacherFingerprint("")
        .setTokenizerFingerprint("")
        .setChatTemplateFingerprint("")
        .setTrainingStep(0)
        .setTokensTrained(0)
        .setParameters(0)
        .setInputOffsets(info.inputOffsets())
        .setQuality(info.quality())
        .setSeed(0)
        .setCodeVersion("")
        .build();
  }

  private static void flip(ByteBuffer data) {
    data.put(data.position(), (byte) (data.get(data.position()) ^ 1));
  }

  private List<String> cacheEntries() {
    if (!Files.exists(cache)) {
      return List.of();
    }
    try (Stream<Path> list = Files.list(cache)) {
      return list.map(path -> path.getFileName().toString()).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
