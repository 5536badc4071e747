package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotStore.Content;
import io.reflux.snapshots.SnapshotStore.Wanted;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DirectoryStoreTest {
  @TempDir Path temp;

  @Test
  void keepsListsAndDeletes() throws IOException {
    DirectoryStore store = new DirectoryStore(temp.resolve("store"));
    assertThat(store.list()).isEmpty();
    Content content = content(5000, 1);
    Content other = content(10, 2);
    store.put(List.of(content, other));
    store.put(List.of(content));
    assertThat(store.list()).containsOnlyKeys(content.sha256(), other.sha256());
    Path got = temp.resolve("got");
    store.get(List.of(new Wanted("file x", object(content), got)));
    assertThat(got).hasSameBinaryContentAs(content.source());
    store.delete(Set.of(content.sha256(), "0".repeat(64)));
    assertThat(store.list()).containsOnlyKeys(other.sha256());
    assertThatThrownBy(() -> store.get(List.of(new Wanted("file x", object(content), got))))
        .hasMessageContaining("file x: no ")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.MISSING_CHUNK);
  }

  @Test
  void damagedObjectIsRefusedAndReplacedByTheNextPut() throws IOException {
    DirectoryStore store = new DirectoryStore(temp.resolve("store"));
    Content content = content(5000, 1);
    store.put(List.of(content));
    Path file =
        temp.resolve("store").resolve(content.sha256().substring(0, 2)).resolve(content.sha256());
    byte[] bytes = Files.readAllBytes(file);
    bytes[77] ^= 1;
    Files.write(file, bytes);
    assertThat(store.holds(object(content))).isFalse();
    assertThatThrownBy(
            () -> store.get(List.of(new Wanted("file x", object(content), temp.resolve("a")))))
        .hasMessageContaining("file x, from dir:")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.CORRUPT_FILE);
    store.put(List.of(content));
    assertThat(store.holds(object(content))).isTrue();
  }

  @Test
  void sourceThatIsNotWhatItsNameSaysLeavesNothing() throws IOException {
    DirectoryStore store = new DirectoryStore(temp.resolve("store"));
    Content content = content(100, 1);
    Content liar = new Content("a".repeat(64), 100, content.source());
    assertThatThrownBy(() -> store.put(List.of(liar))).hasMessageContaining("changed while");
    assertThat(store.list()).isEmpty();
    try (var files = Files.walk(temp.resolve("store"))) {
      assertThat(files.filter(Files::isRegularFile)).isEmpty();
    }
  }

  @Test
  void missingMountIsNamedAndNotMade() throws IOException {
    Content content = content(100, 1);
    DirectoryStore store = new DirectoryStore(temp.resolve("mount/store"));
    assertThatThrownBy(() -> store.put(List.of(content)))
        .hasMessageContaining(temp.resolve("mount/store") + " is missing (expected: a directory)")
        .extracting(e -> ((SnapshotException) e).kind())
        .isEqualTo(Kind.STORE);
  }

  private Content content(int bytes, long seed) throws IOException {
    Path file = Loop.file(temp, "source-" + seed, bytes, seed);
    return new Content(Digests.ofFile(file), bytes, file);
  }

  private static StoredObject object(Content content) {
    return new StoredObject(content.sha256(), content.sizeBytes(), 1, StoredObject.Place.UNKNOWN);
  }
}
