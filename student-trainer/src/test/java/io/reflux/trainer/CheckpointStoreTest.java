package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.nn.ModelState;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CheckpointStoreTest {
  @TempDir private Path directory;

  @Test
  void readsWhatItWrote() throws IOException {
    Checkpoint checkpoint = checkpoint(12, 40_000);
    save(checkpoint);
    Checkpoint read = load();
    assertThat(read).usingRecursiveComparison().isEqualTo(checkpoint);
  }

  @Test
  void keepsTheNewestAndTheOneBefore() throws IOException {
    try (CheckpointStore store = CheckpointStore.open(directory, 2)) {
      for (int step = 1; step <= 4; step++) {
        store.save(checkpoint(step, 10));
      }
    }
    assertThat(files()).hasSize(2);
    assertThat(load().training().step()).isEqualTo(4);
  }

  @Test
  void keepsAsManyAsAreAskedFor() throws IOException {
    try (CheckpointStore store = CheckpointStore.open(directory, 3)) {
      for (int step = 1; step <= 5; step++) {
        store.save(checkpoint(step, 10));
      }
      assertThat(store.oldest()).isEqualTo(3);
      assertThat(store.newest()).isEqualTo(5);
    }
    assertThat(files()).hasSize(3);
  }

  @Test
  void aTornCheckpointGivesWayToTheOneBefore() throws IOException {
    save(checkpoint(1, 1000));
    save(checkpoint(2, 1000));
    Path newest = files().get(1);
    try (FileChannel channel = FileChannel.open(newest, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() / 2);
    }
    assertThat(load().training().step()).isEqualTo(1);
    // The next one is newer than the torn one was, and what is torn stays for inspection.
    save(checkpoint(3, 1000));
    assertThat(load().training().step()).isEqualTo(3);
    assertThat(newest.resolveSibling(newest.getFileName() + ".torn")).exists();
  }

  @Test
  void aSingleFlippedBitIsSeen() throws IOException {
    save(checkpoint(1, 1000));
    save(checkpoint(2, 1000));
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
    save(checkpoint(1, 1000));
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
    save(checkpoint(1, 1000));
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

  private static Checkpoint checkpoint(long step, int parameters) {
    Random random = new Random(step);
    BigramTeacher teacher = new BigramTeacher(2, 40, 1);
    List<LabelledSequence> sequences =
        Stream.generate(() -> teacher.rollout("é" + random.nextInt(), random, 3)).limit(5).toList();
    return new Checkpoint(
        "shape",
        "teacher",
        "tokenizer",
        new IntakeState(
            Map.of(
                "reflux.soft-labels-0", new Position(17, 17),
                "reflux.soft-labels-1", new Position(5, 3)),
            7,
            1,
            0.75),
        new StudentState(
            new ModelState(
                "adamw",
                "full",
                step,
                Map.of("weight", random.nextDouble()),
                Map.of("a", floats(random, parameters), "b", floats(random, parameters))),
            random.nextLong(),
            Stage.ON_POLICY,
            step,
            1,
            2,
            3,
            4.5,
            0.5,
            0.25,
            new ReplayState(sequences.subList(0, 1), sequences.subList(1, 2), List.of(), 0, 9),
            sequences.subList(2, 4),
            sequences.subList(4, 5)));
  }

  private static float[] floats(Random random, int count) {
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      floats[i] = random.nextFloat();
    }
    return floats;
  }
}
