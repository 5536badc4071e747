package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.trainer.IntakeJournal.Entry;
import io.reflux.trainer.IntakeJournal.Run;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class IntakeJournalTest {
  private static final Map<String, Long> START = Map.of("a.labels-0", 0L, "a.labels-1", 10L);
  private static final Entry FIRST =
      new Entry(1, List.of(new Run("a.labels-1", 13), new Run("a.labels-0", 2)));
  private static final Entry SECOND = new Entry(2, List.of());
  private static final Entry REST = new Entry(0, List.of(new Run("a.labels-0", 5)));
  private static final Map<String, Long> END = Map.of("a.labels-0", 5L, "a.labels-1", 13L);

  @TempDir private Path directory;

  @Test
  void givesBackWhatWasNotedInItsOrder() {
    write(0, 0, START, FIRST, SECOND, REST);
    assertThat(resume(0, 0, START)).containsExactly(FIRST, SECOND, REST);
    // And again, as nothing was done since.
    assertThat(resume(0, 0, START)).containsExactly(FIRST, SECOND, REST);
  }

  @Test
  void aTornLastLineIsAsGoodAsNone() throws IOException {
    write(0, 0, START, FIRST, SECOND, REST);
    for (int torn = 1; torn < 15; torn++) {
      try (FileChannel file = FileChannel.open(path(0), StandardOpenOption.WRITE)) {
        file.truncate(Math.max(0, Files.size(path(0)) - 1));
      }
    }
    try (IntakeJournal journal = new IntakeJournal(directory)) {
      assertThat(journal.resume(0, 0, START)).containsExactly(FIRST, SECOND);
      assertThat(journal.append(0, REST.runs())).isTrue();
    }
    assertThat(resume(0, 0, START)).containsExactly(FIRST, SECOND, REST);
  }

  @Test
  void whatFollowsADamagedLineIsNotRedone() throws IOException {
    write(0, 0, START, FIRST, SECOND, REST);
    byte[] bytes = Files.readAllBytes(path(0));
    int second = new String(bytes, java.nio.charset.StandardCharsets.UTF_8).indexOf("step 2");
    bytes[second + 5] = '3';
    Files.write(path(0), bytes);
    assertThat(resume(0, 0, START)).containsExactly(FIRST);
  }

  @Test
  void goesOnPastACheckpointThatCannotBeRead() {
    write(0, 0, START, FIRST, SECOND, REST);
    Entry third = new Entry(3, List.of(new Run("a.labels-0", 9)));
    write(1, 2, END, third);
    assertThat(resume(1, 2, END)).containsExactly(third);
    assertThat(resume(0, 0, START)).containsExactly(FIRST, SECOND, REST, third);
    // New steps are noted behind the last.
    try (IntakeJournal journal = new IntakeJournal(directory)) {
      assertThat(journal.resume(0, 0, START)).hasSize(4);
      assertThat(journal.append(4, List.of())).isTrue();
    }
    assertThat(resume(1, 2, END)).containsExactly(third, new Entry(4, List.of()));
  }

  @Test
  void whatDoesNotFollowIsSetAside() {
    write(0, 0, START, FIRST);
    write(1, 2, END, new Entry(3, List.of()));
    // A step is missing between the two.
    assertThat(resume(0, 0, START)).containsExactly(FIRST);
    assertThat(path(1)).doesNotExist();
    assertThat(path(1).resolveSibling(path(1).getFileName() + ".unused")).exists();
  }

  @Test
  void aPartitionThatIsNewIsNoObstacle() {
    write(0, 0, START, FIRST);
    Map<String, Long> more = Map.of("a.labels-0", 0L, "a.labels-1", 10L, "a.labels-2", 0L);
    Entry ofNew = new Entry(2, List.of(new Run("a.labels-2", 4)));
    try (IntakeJournal journal = new IntakeJournal(directory)) {
      assertThat(journal.resume(0, 0, more)).containsExactly(FIRST);
      assertThat(journal.append(2, ofNew.runs())).isTrue();
    }
    assertThat(resume(0, 0, more)).containsExactly(FIRST, ofNew);
  }

  @Test
  void nothingIsNotedBehindAGap() throws IOException {
    try (IntakeJournal journal = new IntakeJournal(directory)) {
      assertThat(journal.begin(0, 0, START)).isTrue();
      // A directory in the way: a file there can neither be made nor written.
      Files.createDirectory(path(1));
      assertThat(journal.begin(1, 0, START)).isFalse();
      assertThat(journal.append(1, FIRST.runs())).isFalse();
      Files.delete(path(1));
      assertThat(journal.append(2, SECOND.runs())).isFalse();
      assertThat(journal.begin(2, 2, END)).isTrue();
      assertThat(journal.append(3, List.of())).isTrue();
      journal.prune(2);
    }
    assertThat(path(0)).doesNotExist();
    assertThat(resume(2, 2, END)).containsExactly(new Entry(3, List.of()));
  }

  private void write(long checkpoint, long step, Map<String, Long> from, Entry... entries) {
    try (IntakeJournal journal = new IntakeJournal(directory)) {
      assertThat(journal.begin(checkpoint, step, from)).isTrue();
      for (Entry entry : entries) {
        assertThat(journal.append(entry.step(), entry.runs())).isTrue();
      }
    }
  }

  private List<Entry> resume(long checkpoint, long step, Map<String, Long> from) {
    try (IntakeJournal journal = new IntakeJournal(directory)) {
      return journal.resume(checkpoint, step, from);
    }
  }

  private Path path(long checkpoint) {
    return directory.resolve("intake-%012d.journal".formatted(checkpoint));
  }
}
