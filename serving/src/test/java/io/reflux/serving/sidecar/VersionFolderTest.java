package io.reflux.serving.sidecar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.service.RefluxException;
import io.reflux.serving.sidecar.VersionFolder.Taken;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VersionFolderTest {
  private static final int FLIPS = 200;
  private static final int PARTS = 3;

  @TempDir private Path temp;

  @Test
  void readerNeverSeesAMissingOrHalfFolderWhileVersionsFlip() throws Exception {
    Path root = temp.resolve("folder");
    ExecutorService readers = Executors.newFixedThreadPool(2);
    AtomicBoolean over = new AtomicBoolean();
    try (VersionFolder folder = VersionFolder.open(root)) {
      folder.flip(folder.stage(1, files(1)));
      Callable<Integer> reader =
          () -> {
            int looked = 0;
            while (!over.get()) {
              // As a runtime does: the link once, then what it points to.
              Path version = root.resolve("current").toRealPath();
              String number = version.getFileName().toString();
              for (int part = 0; part < PARTS; part++) {
                assertThat(version.resolve("part-" + part)).hasContent(content(number, part));
              }
              try (Stream<Path> entries = Files.list(version)) {
                assertThat(entries.count()).isEqualTo(PARTS);
              }
              looked++;
            }
            return looked;
          };
      List<Future<Integer>> looking = List.of(readers.submit(reader), readers.submit(reader));
      for (long version = 2; version <= FLIPS + 1; version++) {
        String name = folder.stage(version, files(version));
        folder.flip(name);
        folder.take(new Taken(version, name, "f"));
        // A reader that is slower than this many flips would be one that forgot its model.
        folder.prune(100);
      }
      over.set(true);
      for (Future<Integer> one : looking) {
        assertThat(one.get()).isPositive();
      }
      folder.prune(2);
      assertThat(names(root.resolve("versions"))).containsExactlyInAnyOrder("200", "201");
    } finally {
      over.set(true);
      readers.shutdownNow();
    }
  }

  @Test
  void whatAKilledOneLeftIsClearedAndWhatIsWholeIsKept() throws IOException {
    Path root = temp.resolve("folder");
    try (VersionFolder folder = VersionFolder.open(root)) {
      folder.flip(folder.stage(1, files(1)));
      folder.take(new Taken(1, "1", "f"));
      folder.stage(2, files(2));
    }
    Files.createDirectories(root.resolve("versions/.staging-3"));
    Files.writeString(root.resolve("versions/.staging-3/part-0"), "half");
    Files.createSymbolicLink(root.resolve(".current-next"), Path.of("versions", "3"));
    try (VersionFolder folder = VersionFolder.open(root)) {
      assertThat(folder.taken()).contains(new Taken(1, "1", "f"));
      assertThat(folder.pointedTo()).contains("1");
      assertThat(names(root.resolve("versions"))).containsExactlyInAnyOrder("1", "2");
      assertThat(folder.stage(2, files(2))).isEqualTo("2");
      folder.flip("2");
      assertThat(root.resolve("current/part-0")).hasContent(content("2", 0));
      assertThat(Files.readSymbolicLink(root.resolve("current")))
          .isEqualTo(Path.of("versions", "2"));
      assertThat(Files.exists(root.resolve(".current-next"), LinkOption.NOFOLLOW_LINKS)).isFalse();
    }
  }

  @Test
  void otherFilesUnderAKnownNumberGetANameOfTheirOwn() throws IOException {
    Path root = temp.resolve("folder");
    try (VersionFolder folder = VersionFolder.open(root)) {
      folder.flip(folder.stage(1, files(1)));
      Map<String, Path> other = files(2);
      assertThat(folder.stage(1, other)).isEqualTo("1-2");
      assertThat(folder.stage(1, other)).isEqualTo("1-2");
      assertThat(folder.stage(1, files(1))).isEqualTo("1");
      assertThat(root.resolve("current/part-0")).hasContent(content("1", 0));
      folder.flip("1-2");
      assertThat(root.resolve("current/part-0")).hasContent(content("2", 0));
    }
  }

  @Test
  void currentAndTakenStayHoweverOldTheyAre() throws IOException {
    Path root = temp.resolve("folder");
    try (VersionFolder folder = VersionFolder.open(root)) {
      for (long version = 1; version <= 5; version++) {
        folder.stage(version, files(version));
      }
      folder.flip("1");
      folder.take(new Taken(2, "2", "f"));
      folder.prune(3);
      assertThat(names(root.resolve("versions"))).containsExactlyInAnyOrder("1", "2", "5");
    }
  }

  @Test
  void folderThatCannotBeUsedIsNamed() throws IOException {
    Path root = temp.resolve("folder");
    try (VersionFolder folder = VersionFolder.open(root)) {
      assertThat(folder.taken()).isEmpty();
      assertThatThrownBy(() -> VersionFolder.open(root))
          .isInstanceOf(RefluxException.class)
          .hasMessage(root + ": in use (expected: one sidecar a folder)");
    }
    VersionFolder.open(root).close();
    Files.createDirectory(root.resolve("current"));
    assertThatThrownBy(() -> VersionFolder.open(root))
        .isInstanceOf(RefluxException.class)
        .hasMessage(root.resolve("current") + ": no link (expected: a symbolic link, or nothing)");
    Path file = Files.writeString(temp.resolve("file"), "x");
    assertThatThrownBy(() -> VersionFolder.open(file.resolve("below")))
        .isInstanceOf(RefluxException.class)
        .hasMessageEndingWith("(expected: a folder that can be written to)");
  }

  private static String content(String number, int part) {
    return (number + "/" + part + ";").repeat(500);
  }

  /** Where they would be fetched to. */
  private Map<String, Path> files(long version) throws IOException {
    Path source = Files.createDirectories(temp.resolve("source-" + version));
    List<Map.Entry<String, Path>> files = new ArrayList<>();
    for (int part = 0; part < PARTS; part++) {
      Path file = source.resolve("part-" + part);
      Files.writeString(file, content(Long.toString(version), part));
      files.add(Map.entry(file.getFileName().toString(), file));
    }
    return Map.ofEntries(files.toArray(Map.Entry[]::new));
  }

  private static List<String> names(Path directory) throws IOException {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.map(path -> path.getFileName().toString()).toList();
    }
  }
}
