package io.reflux.monitor.probe;

import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.snapshots.FetchedSnapshot;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotFetcher;
import io.reflux.snapshots.SnapshotWatcher;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows the served version: fetches and opens it on the watcher's thread, and hands it to the
 * probe's thread, which closes what it had when it takes the new one.
 */
final class StudentSlot implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(StudentSlot.class);

  private final SnapshotFetcher fetcher;
  private final RuntimeOptions runtime;
  private final SnapshotWatcher watcher;
  private final BlockingQueue<ServedStudent> next = new ArrayBlockingQueue<>(1);

  StudentSlot(SnapshotAccess access, String channel, Path dataDir, RuntimeOptions runtime) {
    this.fetcher = new SnapshotFetcher(access, dataDir.resolve("snapshots"));
    this.runtime = runtime;
    this.watcher =
        new SnapshotWatcher(access, channel, dataDir.resolve("served-" + channel), new Following());
  }

  void start() {
    watcher.start();
  }

  /** A student newer than the last one handed out, within the time; the caller closes it. */
  Optional<ServedStudent> next(Duration timeout) throws InterruptedException {
    return Optional.ofNullable(next.poll(timeout.toMillis(), TimeUnit.MILLISECONDS));
  }

  @Override
  public void close() {
    watcher.close();
    ServedStudent left = next.poll();
    if (left != null) {
      left.close();
    }
  }

  private final class Following implements SnapshotWatcher.Listener {
    @Override
    public void moved(SnapshotPointer pointer) {
      FetchedSnapshot snapshot = fetcher.fetch(pointer);
      ServedStudent opened = ServedStudent.open(snapshot, runtime);
      ServedStudent untaken = next.poll();
      if (untaken != null) {
        untaken.close();
      }
      next.add(opened);
      // The weights are in memory by now: older files serve nobody.
      fetcher.retain(Set.of(snapshot.version()));
    }

    @Override
    public void problem(SnapshotException problem) {
      log.warn("probe: {}", problem.getMessage());
    }
  }
}
