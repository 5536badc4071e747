package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows a channel's pointer in a thread of its own.
 *
 * <p>The listener hears of each move in order, one at a time; moves that happened while it was busy
 * are summed up in the last of them. One that it refuses, by throwing, is offered again after a
 * while, until it is taken or a newer one stands. What was taken is remembered in a file, so that
 * also after a restart nothing lower is offered, except by an explicit rollback.
 */
public final class SnapshotWatcher implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(SnapshotWatcher.class);

  private static final Duration POLL = Duration.ofMillis(500);

  /** For what is there already; a transaction's marker alone would end no poll. */
  private static final Duration SHORT_POLL = Duration.ofMillis(20);

  private static final Duration CLOSE_PATIENCE = Duration.ofSeconds(10);

  /** The broker answers after this long at the latest, also when only a marker has come. */
  private static final Map<String, String> CONSUMER_SETTINGS = Map.of("fetch.max.wait.ms", "100");

  /** Who acts on the moves. Called on the watcher's thread. */
  public interface Listener {
    /**
     * Serve this from now on. Returning means that it is served; throwing any runtime exception
     * means that it is not, and leaves everything as it was.
     */
    void moved(SnapshotPointer pointer);

    /** Something kept a move from being taken; what was served before still is. */
    void problem(SnapshotException problem);

    /**
     * This very move was not taken, and will be offered again; a problem like others by default.
     */
    default void refused(SnapshotPointer pointer, SnapshotException problem) {
      problem(problem);
    }

    /**
     * What the channel says is what is served: after {@link #moved}, and after a move that was none
     * for who serves, such as a pin.
     */
    default void settled(SnapshotPointer pointer) {}
  }

  private final SnapshotAccess access;
  private final KafkaClients clients;
  private final String channel;
  private final Path stateFile;
  private final Listener listener;
  private final Duration firstRetry;
  private final Duration longestRetry;
  private final CountDownLatch closing = new CountDownLatch(1);
  private final Object lock = new Object();

  private Thread thread;
  private Consumer<String, byte[]> consumer;
  private ServedFloor floor;
  private volatile SnapshotPointer taken;

  private SnapshotPointer refused;
  private SnapshotException reportedUnreadable;
  private SnapshotException reportedReplay;
  private Duration retryDelay;
  private long retryAtNanos;

  /**
   * @param stateFile remembers the version taken last; its folder is made if missing
   */
  public SnapshotWatcher(SnapshotAccess access, String channel, Path stateFile, Listener listener) {
    this(access, channel, stateFile, listener, Duration.ofSeconds(1), Duration.ofSeconds(30));
  }

  SnapshotWatcher(
      SnapshotAccess access,
      String channel,
      Path stateFile,
      Listener listener,
      Duration firstRetry,
      Duration longestRetry) {
    this.access = access;
    this.clients = access.clients();
    this.channel = channel;
    this.stateFile = stateFile;
    this.listener = listener;
    this.firstRetry = firstRetry;
    this.longestRetry = longestRetry;
    this.retryDelay = firstRetry;
  }

  /**
   * Begins to follow.
   *
   * @throws io.reflux.schemas.service.RefluxException if the state file is there and unreadable
   */
  public void start() {
    synchronized (lock) {
      if (thread != null || closed()) {
        throw new IllegalStateException("watcher of " + channel + " was started already");
      }
      floor = ServedFloor.load(stateFile, channel);
      thread = new Thread(this::run, "snapshot-watcher-" + channel);
      thread.setDaemon(true);
      thread.start();
    }
  }

  /** The version that the listener took last, since the start. */
  public OptionalLong served() {
    SnapshotPointer now = taken;
    return now == null ? OptionalLong.empty() : OptionalLong.of(now.getVersion());
  }

  /** Waits for a listener at work, and interrupts it when it takes long. */
  @Override
  public void close() {
    Thread running;
    synchronized (lock) {
      closing.countDown();
      running = thread;
      if (consumer != null) {
        consumer.wakeup();
      }
    }
    if (running == null || running == Thread.currentThread()) {
      return;
    }
    try {
      running.join(CLOSE_PATIENCE.toMillis());
      if (running.isAlive()) {
        running.interrupt();
        running.join(CLOSE_PATIENCE.toMillis());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private boolean closed() {
    return closing.getCount() == 0;
  }

  private void run() {
    while (!closed()) {
      try (Consumer<String, byte[]> opened =
          clients.consumer("snapshot-watcher", null, CONSUMER_SETTINGS)) {
        synchronized (lock) {
          consumer = opened;
        }
        follow(opened);
      } catch (WakeupException | InterruptException e) {
        // Only close() does either.
        return;
      } catch (KafkaException e) {
        report(TopicScan.failure(Topics.SNAPSHOT_POINTERS.fullName(clients.kafka()), e));
      } catch (SnapshotException e) {
        report(e);
      } catch (RefluxException e) {
        // Such as a registry that does not answer.
        report(new SnapshotException(Kind.KAFKA, e.getMessage(), e));
      } finally {
        synchronized (lock) {
          consumer = null;
        }
      }
      pause();
    }
  }

  /** Before the connection is tried anew. */
  private void pause() {
    try {
      boolean closed = closing.await(firstRetry.toMillis(), TimeUnit.MILLISECONDS);
      if (closed) {
        log.debug("watcher of {} closes", channel);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      closing.countDown();
    }
  }

  private void follow(Consumer<String, byte[]> opened) {
    String topic = Topics.SNAPSHOT_POINTERS.fullName(clients.kafka());
    List<TopicPartition> partitions = TopicScan.partitions(opened, topic);
    opened.assign(partitions);
    opened.seekToBeginning(partitions);
    PointerFold fold = PointerFold.of(access, channel);
    catchUp(opened, partitions, fold);
    while (!closed()) {
      act(fold);
      ConsumerRecords<String, byte[]> records = opened.poll(POLL);
      records.forEach(fold::add);
      if (!records.isEmpty()) {
        catchUp(opened, partitions, fold);
      }
    }
  }

  /** Nothing is acted on before everything that has happened is known. */
  private void catchUp(
      Consumer<String, byte[]> opened, List<TopicPartition> partitions, PointerFold fold) {
    Map<TopicPartition, Long> ends = opened.endOffsets(partitions);
    while (!closed() && !TopicScan.allReached(opened, partitions, ends)) {
      opened.poll(SHORT_POLL).forEach(fold::add);
    }
  }

  private void act(PointerFold fold) {
    Optional<SnapshotException> unreadable = fold.unreadable();
    if (unreadable.isPresent()) {
      if (unreadable.get() != reportedUnreadable) {
        reportedUnreadable = unreadable.get();
        report(reportedUnreadable);
      }
      return;
    }
    SnapshotException replayed = fold.replayed().orElse(null);
    if (replayed != null && replayed != reportedReplay) {
      reportedReplay = replayed;
      report(replayed);
    }
    SnapshotPointer pointer = fold.current().orElse(null);
    if (pointer == null || pointer.equals(taken)) {
      return;
    }
    if (!pointer.equals(refused)) {
      retryDelay = firstRetry;
    } else if (System.nanoTime() - retryAtNanos < 0) {
      return;
    }
    try {
      offer(pointer);
      taken = pointer;
      refused = null;
      tell(() -> listener.settled(pointer));
    } catch (SnapshotException e) {
      refuse(pointer, e);
    } catch (RuntimeException e) {
      // A listener may fail in any way; whatever it was, it is reported and tried again.
      if (closed()) {
        log.debug("version {} of {} not taken: closing", pointer.getVersion(), channel, e);
        return;
      }
      refuse(
          pointer,
          new SnapshotException(
              Kind.REFUSED, "snapshot " + pointer.getVersion() + ": " + e.getMessage(), e));
    }
  }

  private void offer(SnapshotPointer pointer) {
    if (!floor.allows(pointer)) {
      throw new SnapshotException(
          Kind.BACKWARDS,
          "pointer of channel "
              + channel
              + ": version "
              + pointer.getVersion()
              + " (expected: at least "
              + floor.version()
              + ", served before according to "
              + floor.file()
              + ", or a rollback)");
    }
    if (access.trust().isPresent() && !floor.isCurrent(pointer)) {
      throw new SnapshotException(
          Kind.BACKWARDS,
          "pointer of channel "
              + channel
              + ": to version "
              + pointer.getVersion()
              + ", moved at "
              + pointer.getMovedAt()
              + " (expected: after "
              + floor.movedAt()
              + ", when the move taken last was made according to "
              + floor.file()
              + "; an old record was sent again)");
    }
    SnapshotPointer before = taken;
    if (before == null
        || before.getVersion() != pointer.getVersion()
        || !before.getManifestSha256().equals(pointer.getManifestSha256())) {
      listener.moved(pointer);
    }
    floor.served(pointer);
  }

  private void refuse(SnapshotPointer pointer, SnapshotException problem) {
    refused = pointer;
    retryAtNanos = System.nanoTime() + retryDelay.toNanos();
    Duration doubled = retryDelay.multipliedBy(2);
    retryDelay = doubled.compareTo(longestRetry) > 0 ? longestRetry : doubled;
    if (!closed()) {
      tell(() -> listener.refused(pointer, problem));
    }
  }

  private void report(SnapshotException problem) {
    tell(() -> listener.problem(problem));
  }

  /** What a listener does with news decides nothing. */
  private void tell(Runnable news) {
    try {
      news.run();
    } catch (RuntimeException e) {
      log.error("listener of channel {} failed on news", channel, e);
    }
  }
}
