package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointStoreTest {
  @TempDir private Path directory;

  @Test
  void readsWhatItWrote() throws IOException {
    Checkpoint checkpoint = CheckpointSamples.of(12, 50);
    save(checkpoint);
    assertThat(load())
        .usingRecursiveComparison()
        // By default no NaN is another.
        .withEqualsForType(Double::equals, Double.class)
        .isEqualTo(checkpoint);
  }

  @Test
  void keepsTheNewestAndTheOneBefore() throws IOException {
    try (CheckpointStore store = CheckpointStore.open(directory, 2)) {
      for (int step = 1; step <= 4; step++) {
        store.save(CheckpointSamples.of(step, 10));
      }
    }
    assertThat(files()).hasSize(2);
    assertThat(load().training().step()).isEqualTo(4);
  }

  @Test
  void keepsAsManyAsAreAskedFor() throws IOException {
    try (CheckpointStore store = CheckpointStore.open(directory, 3)) {
      for (int step = 1; step <= 5; step++) {
        store.save(CheckpointSamples.of(step, 10));
      }
      assertThat(store.oldest()).isEqualTo(3);
      assertThat(store.newest()).isEqualTo(5);
    }
    assertThat(files()).hasSize(3);
  }

  @Test
  void aTornCheckpointGivesWayToTheOneBefore() throws IOException {
    save(CheckpointSamples.of(1, 1000));
    save(CheckpointSamples.of(2, 1000));
    Path newest = files().get(1);
    try (FileChannel channel = FileChannel.open(newest, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() / 2);
    }
    assertThat(load().training().step()).isEqualTo(1);
    // The next one is newer than the torn one was, and what is torn stays for inspection.
    save(CheckpointSamples.of(3, 1000));
    assertThat(load().training().step()).isEqualTo(3);
    assertThat(newest.resolveSibling(newest.getFileName() + ".torn")).exists();
  }

  @Test
  void aSingleFlippedBitIsSeen() throws IOException {
    save(CheckpointSamples.of(1, 1000));
    save(CheckpointSamples.of(2, 1000));
    Path newest = files().get(1);
    try (FileChannel channel =
        FileChannel.open(newest, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      channel.read(one, 2000);
      one.put(0, (byte) (one.get(0) ^ 4)).rewind();
      channel.write(one, 2000);
    }
    assertThat(load().training().step()).isEqualTo(1);
  }

  @Test
  void refusesToStartOverWhenNoCheckpointIsWhole() throws IOException {
    save(CheckpointSamples.of(1, 1000));
    Files.write(files().get(0), new byte[100]);
    try (CheckpointStore store = CheckpointStore.open(directory, 2)) {
      assertThatThrownBy(store::load)
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("no whole checkpoint")
          .hasMessageNotContaining("\n");
    }
  }

  @Test
  void aWriteThatWasCutShortLeavesNothing() throws IOException {
    save(CheckpointSamples.of(1, 1000));
    Files.write(directory.resolve("checkpoint.tmp"), new byte[10]);
    assertThat(load().training().step()).isEqualTo(1);
  }

  @Test
  void oneTrainerADirectory() {
    try (CheckpointStore first = CheckpointStore.open(directory, 2)) {
      assertThat(first.load()).isEmpty();
      assertThatThrownBy(() -> CheckpointStore.open(directory, 2))
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("in use by another trainer");
    }
  }

  private void save(Checkpoint checkpoint) throws IOException {
    try (CheckpointStore store = CheckpointStore.open(directory, 2)) {
      if (!files().isEmpty()) {
        store.load();
      }
      store.save(checkpoint);
    }
  }

  private Checkpoint load() {
    try (CheckpointStore store = CheckpointStore.open(directory, 2)) {
      return store.load().orElseThrow().checkpoint();
    }
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.filter(path -> path.toString().endsWith(".reflux")).sorted().toList();
    }
  }
}
