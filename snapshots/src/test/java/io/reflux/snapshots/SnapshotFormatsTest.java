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
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(SharedStack.class)
class SnapshotFormatsTest {
  private static final int WEIGHT_BYTES = 20_000;

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
    Loop.file(model, "gguf/model.gguf", WEIGHT_BYTES, 2);
    Loop.file(model, "notes/read.me", 10, 3);
    Loop.file(model, "onnx/model.onnx", WEIGHT_BYTES, 4);
    Files.copy(model.resolve("tokenizer.json"), model.resolve("onnx/tokenizer.json"));
    cache = temp.resolve("cache");
  }

  @AfterEach
  void closePublisher() {
    publisher.close();
  }

  @Test
  void eachFormatHasItsOwnFilesAndTheSharedOnesAndNoOther() {
    SnapshotManifest manifest = publish("safetensors", "onnx", "gguf");
    SnapshotPointer pointer = new SnapshotCatalog(access).pointer("stable").orElseThrow();
    SnapshotFetcher fetcher = new SnapshotFetcher(access, cache);
    FetchedSnapshot onnx = fetcher.fetch(pointer, SnapshotFormat.ONNX);
    assertThat(files(onnx.directory()))
        .containsExactly(
            "notes/read.me", "onnx/model.onnx", "onnx/tokenizer.json", "tokenizer.json");
    assertThat(onnx.modelDirectory()).isEqualTo(cache.resolve("1-onnx/onnx").toAbsolutePath());
    assertThat(onnx.manifest()).isEqualTo(manifest);
    FetchedSnapshot gguf = fetcher.fetch(1, SnapshotFormat.GGUF);
    assertThat(files(gguf.directory()))
        .containsExactly("gguf/model.gguf", "notes/read.me", "tokenizer.json");
    FetchedSnapshot own = fetcher.fetch(pointer);
    assertThat(own.format()).isEqualTo(SnapshotFormat.SAFETENSORS);
    assertThat(own.modelDirectory()).isEqualTo(cache.resolve("1").toAbsolutePath());
    assertThat(files(own.directory()))
        .containsExactly("model.safetensors", "notes/read.me", "tokenizer.json");
    for (FetchedSnapshot fetched : List.of(onnx, gguf, own)) {
      for (String file : files(fetched.directory())) {
        assertThat(fetched.directory().resolve(file)).hasSameBinaryContentAs(model.resolve(file));
      }
    }
    // The tokenizer is there twice, and was sent once.
    assertThat(loop.records(Topics.SNAPSHOT_CHUNKS)).hasSize(5);
    assertThat(SnapshotFormat.ONNX.ownBytes(manifest)).isEqualTo(WEIGHT_BYTES + 1000);
    fetcher.retain(Set.of(2L));
    assertThat(cache).isEmptyDirectory();
  }

  @Test
  void bytesOfOtherFormatsAreNotAskedFor() throws IOException {
    publish("safetensors", "onnx", "gguf");
    Loop damaged = damaged(file -> file.startsWith("onnx/model") || file.endsWith("safetensors"));
    SnapshotFetcher fetcher = new SnapshotFetcher(access(damaged), cache);
    assertThat(fetcher.fetch(1, SnapshotFormat.GGUF).directory()).isDirectory();
    for (SnapshotFormat format : List.of(SnapshotFormat.ONNX, SnapshotFormat.SAFETENSORS)) {
      assertThatThrownBy(() -> fetcher.fetch(1, format))
          .hasMessageContaining(format == SnapshotFormat.ONNX ? "model.onnx" : "model.safetensors")
          .extracting(e -> ((SnapshotException) e).kind())
          .isEqualTo(Kind.CORRUPT_CHUNK);
    }
    try (Stream<Path> entries = Files.list(cache)) {
      assertThat(entries).containsExactly(cache.resolve("1-gguf"));
    }
  }

  @Test
  void changedByteOfAFormatIsRefused() throws IOException {
    publish("safetensors", "onnx", "gguf");
    SnapshotFetcher fetcher = new SnapshotFetcher(access, cache);
    Path file = fetcher.fetch(1, SnapshotFormat.ONNX).modelDirectory().resolve("model.onnx");
    byte[] bytes = Files.readAllBytes(file);
    bytes[7] ^= 1;
    Files.write(file, bytes);
    fetcher.fetch(1, SnapshotFormat.ONNX);
    assertThat(file).hasSameBinaryContentAs(model.resolve("onnx/model.onnx"));
  }

  @Test
  void formatThatIsNotOfferedIsNamedWithThoseThatAre() {
    publish("safetensors", "onnx", "gguf");
    assertThatThrownBy(() -> new SnapshotFetcher(access, cache).fetch(1, SnapshotFormat.HF))
        .hasMessage("snapshot 1: format hf (expected: one that it offers: safetensors, onnx, gguf)")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.NOT_OFFERED);
    publish();
    assertThatThrownBy(() -> new SnapshotFetcher(access, cache).fetch(2, SnapshotFormat.ONNX))
        .hasMessage("snapshot 2: format onnx (expected: one that it offers: safetensors)");
    // Nobody said that these folders are formats.
    assertThat(files(new SnapshotFetcher(access, cache).fetch(2)))
        .contains("onnx/model.onnx", "gguf/model.gguf");
  }

  @Test
  void formatOfALaterBuildIsPassedOver() throws IOException {
    Loop.file(model, "tomorrow/model.bin", WEIGHT_BYTES, 5);
    publish("safetensors", "onnx", "gguf", "tomorrow");
    SnapshotFetcher fetcher = new SnapshotFetcher(access, cache);
    for (SnapshotFormat format : List.of(SnapshotFormat.SAFETENSORS, SnapshotFormat.GGUF)) {
      assertThat(files(fetcher.fetch(1, format).directory()))
          .contains("notes/read.me")
          .noneMatch(file -> file.startsWith("tomorrow"));
    }
  }

  @Test
  void formatIsNotOfferedWithoutItsFiles() {
    assertThatThrownBy(() -> publish("safetensors", "hf"))
        .hasMessageContaining("format hf (expected: with files of its own)")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.BAD_MANIFEST);
    assertThat(new SnapshotCatalog(access).list()).isEmpty();
    SnapshotManifest manifest = publish("safetensors", "onnx", "gguf");
    manifest.setFormats(List.of("safetensors", "hf"));
    assertThatThrownBy(() -> SnapshotFiles.check(manifest))
        .hasMessageContaining("format hf (expected: with files of its own)");
    manifest.setFormats(List.of("\u001b[2J"));
    assertThatThrownBy(() -> SnapshotFiles.check(manifest))
        .hasMessageContaining("a format's name (expected:");
  }

  @Test
  void differencesAreOfEachFileByItself() throws IOException {
    publish("safetensors", "gguf");
    change("model.safetensors");
    SnapshotManifest second = publish("safetensors", "onnx", "gguf");
    assertThat(second.getDeltaBase()).isEqualTo(1);
    change("model.safetensors");
    change("gguf/model.gguf");
    publish("safetensors", "onnx", "gguf");
    for (SnapshotFormat format : SnapshotFormat.offeredBy(second)) {
      FetchedSnapshot fetched = new SnapshotFetcher(access, cache).fetch(3, format);
      for (String file : files(fetched.directory())) {
        assertThat(fetched.directory().resolve(file)).hasSameBinaryContentAs(model.resolve(file));
      }
    }
    // What has no differences needs no base, although other files of its version do.
    Loop bare = Loop.on(stack);
    loop.copyTo(bare, Topics.SNAPSHOT_CHUNKS, UnaryOperator.identity());
    loop.copyTo(bare, Topics.SNAPSHOTS, record -> record.key().equals("3") ? record : null);
    SnapshotFetcher fetcher = new SnapshotFetcher(access(bare), temp.resolve("fresh"));
    assertThat(fetcher.fetch(3, SnapshotFormat.ONNX).directory()).isDirectory();
    assertThatThrownBy(() -> fetcher.fetch(3, SnapshotFormat.GGUF))
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.BAD_DELTA);
  }

  @Test
  void pathsTellTheFormat() {
    assertThat(SnapshotFormat.ofPath("model.safetensors")).contains(SnapshotFormat.SAFETENSORS);
    assertThat(SnapshotFormat.ofPath("model-00001-of-00002.safetensors"))
        .contains(SnapshotFormat.SAFETENSORS);
    assertThat(SnapshotFormat.ofPath("model.safetensors.index.json"))
        .contains(SnapshotFormat.SAFETENSORS);
    assertThat(SnapshotFormat.ofPath("hf/model.safetensors")).contains(SnapshotFormat.HF);
    assertThat(SnapshotFormat.ofPath("onnx/model.onnx.data")).contains(SnapshotFormat.ONNX);
    assertThat(SnapshotFormat.ofPath("gguf/model.gguf")).contains(SnapshotFormat.GGUF);
    assertThat(SnapshotFormat.ofPath("config.json")).isEmpty();
    assertThat(SnapshotFormat.ofPath("safetensors/model.safetensors")).isEmpty();
    assertThat(SnapshotFormat.parse(" ONNX")).isEqualTo(SnapshotFormat.ONNX);
    assertThatThrownBy(() -> SnapshotFormat.parse("zip"))
        .isInstanceOf(RefluxException.class)
        .hasMessage("format: zip (expected: safetensors, hf, onnx, gguf)");
  }

  private SnapshotManifest publish(String... formats) {
    SnapshotInfo plain = Loop.info(1);
    return publisher.publish(
        model,
        new SnapshotInfo(
            plain.studentName(),
            plain.quantisation(),
            plain.studentFingerprint(),
            plain.teacherFingerprint(),
            plain.tokenizerFingerprint(),
            plain.chatTemplateFingerprint(),
            plain.trainingStep(),
            plain.tokensTrained(),
            plain.parameters(),
            plain.inputOffsets(),
            plain.quality(),
            plain.seed(),
            plain.codeVersion(),
            Optional.empty(),
            List.of(formats)),
        "stable");
  }

  private void change(String file) throws IOException {
    byte[] bytes = Files.readAllBytes(model.resolve(file));
    for (int i = 0; i < bytes.length; i += 50) {
      bytes[i]++;
    }
    Files.write(model.resolve(file), bytes);
  }

  /** The same loop with the chunks of some files damaged. */
  private Loop damaged(Predicate<String> which) {
    Loop other = Loop.on(stack);
    SnapshotManifest manifest = new SnapshotCatalog(access).latest().orElseThrow();
    List<String> objects =
        manifest.getFiles().stream()
            .filter(file -> which.test(file.getPath()))
            .map(SnapshotFile::getSha256)
            .toList();
    loop.copyTo(other, Topics.SNAPSHOTS, UnaryOperator.identity());
    loop.copyTo(
        other,
        Topics.SNAPSHOT_CHUNKS,
        record -> {
          try {
            SnapshotChunk chunk =
                loop.clients().codec().decode(record.topic(), record.value(), SnapshotChunk.class);
            if (!objects.contains(chunk.getFileSha256())) {
              return record;
            }
            chunk.setCrc32c(chunk.getCrc32c() ^ 1);
            return Loop.withValue(
                record, other.clients().codec().encode(other.name(Topics.SNAPSHOT_CHUNKS), chunk));
          } catch (DecodeException e) {
            throw new AssertionError(e);
          }
        });
    return other;
  }

  private static SnapshotAccess access(Loop loop) {
    return SnapshotAccess.of(
        loop.clients(), Keys.config(Optional.empty(), Optional.empty(), KafkaStore.KIND, 10));
  }

  private static List<String> files(Path directory) {
    try (Stream<Path> walk = Files.walk(directory)) {
      return walk.filter(Files::isRegularFile)
          .map(file -> directory.relativize(file).toString())
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
