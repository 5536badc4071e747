package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(SharedStack.class)
class SnapshotWatcherTest {
  @TempDir Path temp;
  private DevStack stack;
  private Loop loop;
  private Recorder recorder;
  private Path state;
  private SnapshotWatcher watcher;

  @BeforeEach
  void newLoop(DevStack stack) {
    this.stack = stack;
    loop = Loop.on(stack);
    recorder = new Recorder();
    state = temp.resolve("state/served.json");
  }

  @AfterEach
  void closeWatcher() {
    if (watcher != null) {
      watcher.close();
    }
  }

  @Test
  void movesArriveInOrderAndOnlyTheLastOfThoseMissed() throws Exception {
    point("stable", 1, false);
    point("stable", 2, false);
    point("canary", 9, false);
    watch();
    assertThat(recorder.move()).isEqualTo(2);
    point("stable", 3, false);
    assertThat(recorder.move()).isEqualTo(3);

    recorder.gate = new CountDownLatch(1);
    point("stable", 4, false);
    assertThat(recorder.entered.poll(20, TimeUnit.SECONDS)).isEqualTo(4);
    point("stable", 5, false);
    point("stable", 6, false);
    recorder.gate.countDown();
    assertThat(recorder.move()).isEqualTo(4);
    assertThat(recorder.move()).isEqualTo(6);
    watcher.close();
    assertThat(watcher.served()).hasValue(6);
  }

  @Test
  void moveThatNobodyHeardOfIsOnlyLate() throws Exception {
    point("stable", 1, false);
    watch();
    assertThat(recorder.move()).isEqualTo(1);
    watcher.close();
    point("stable", 2, false);
    point("stable", 3, false);
    watch();
    assertThat(recorder.move()).isEqualTo(3);
    assertThat(recorder.settled.poll(20, TimeUnit.SECONDS)).isEqualTo(3);
    assertThat(recorder.moves).isEmpty();
    assertThat(recorder.problems).isEmpty();
  }

  @Test
  void moveThatCameWhileTheRegistryWasAwayIsOnlyLate() throws Exception {
    URI registry = URI.create(stack.registryConfig().url());
    try (FlakyProxy proxy = new FlakyProxy(registry.getPort())) {
      loop = loop.through(proxy.endpoint());
      watch();
      proxy.dieAfterSending(0);
      point("stable", 1, false);
      assertThat(recorder.problem().kind()).isEqualTo(Kind.KAFKA);
      assertThat(watcher.served()).isEmpty();
      proxy.revive();
      assertThat(recorder.move()).isEqualTo(1);
    }
  }

  @Test
  void pinIsNoMoveButSettled() throws Exception {
    point("stable", 1, false);
    watch();
    assertThat(recorder.move()).isEqualTo(1);
    assertThat(recorder.settled.poll(20, TimeUnit.SECONDS)).isEqualTo(1);
    SnapshotPointer pinned = pointer("stable", 1, false);
    pinned.setPinned(true);
    send(pinned);
    assertThat(recorder.settled.poll(20, TimeUnit.SECONDS)).isEqualTo(1);
    assertThat(recorder.moves).isEmpty();
  }

  @Test
  void staleMoveIsIgnoredAndRollbackIsFollowed() throws Exception {
    point("stable", 5, false);
    watch();
    assertThat(recorder.move()).isEqualTo(5);
    point("stable", 3, false);
    point("stable", 4, true);
    assertThat(recorder.move()).isEqualTo(4);
    point("stable", 7, false);
    assertThat(recorder.move()).isEqualTo(7);
    assertThat(recorder.problems).isEmpty();
  }

  @Test
  void restartNeverServesLowerExceptByRollback() throws Exception {
    point("stable", 5, false);
    watch();
    assertThat(recorder.move()).isEqualTo(5);
    watcher.close();

    // The channel as somebody finds it who lost the last moves, say after a bad restore.
    loop = Loop.on(stack);
    point("stable", 4, false);
    watch();
    SnapshotException problem = recorder.problem();
    assertThat(problem.kind()).isEqualTo(Kind.BACKWARDS);
    assertThat(problem).hasMessageContaining("version 4 (expected: at least 5");
    assertThat(watcher.served()).isEmpty();
    watcher.close();

    point("stable", 3, true);
    watch();
    assertThat(recorder.move()).isEqualTo(3);
    watcher.close();
    watch();
    assertThat(recorder.move()).isEqualTo(3);
  }

  @Test
  void refusedMoveIsOfferedAgain() throws Exception {
    recorder.failures.add(new IllegalStateException("no memory"));
    recorder.failures.add(new SnapshotException(Kind.MISSING_CHUNK, "chunk 3"));
    point("stable", 1, false);
    watch();
    assertThat(recorder.problem()).hasMessage("snapshot 1: no memory");
    assertThat(recorder.problem()).hasMessage("chunk 3");
    assertThat(recorder.move()).isEqualTo(1);
    watcher.close();
    assertThat(Files.readString(state)).contains("\"version\":1");
  }

  @Test
  void unreadablePointerIsReportedAndNothingOlderIsServed() throws Exception {
    point("stable", 1, false);
    loop.send(Topics.SNAPSHOT_POINTERS, "stable", new byte[] {7});
    watch();
    assertThat(recorder.problem().kind()).isEqualTo(Kind.UNREADABLE_POINTER);
    assertThat(watcher.served()).isEmpty();
    point("stable", 2, false);
    assertThat(recorder.move()).isEqualTo(2);
  }

  @Test
  void unreadableStateFileIsAnError() throws IOException {
    Files.createDirectories(state.getParent());
    Files.writeString(state, "{\"channel\":\"canary\",\"version\":3}");
    assertThatThrownBy(this::watch)
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining(state.toString());
    Files.writeString(state, "{\"channel\":");
    assertThatThrownBy(this::watch)
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining(state.toString());
  }

  private void watch() {
    recorder = recorder.fresh();
    watcher =
        new SnapshotWatcher(
            SnapshotAccess.unsigned(loop.clients()),
            "stable",
            state,
            recorder,
            Duration.ofMillis(20),
            Duration.ofMillis(100));
    watcher.start();
  }

  private void point(String channel, long version, boolean rollback) {
    send(pointer(channel, version, rollback));
  }

  private static SnapshotPointer pointer(String channel, long version, boolean rollback) {
    return SnapshotPointer.newBuilder()
        .setChannel(channel)
        .setVersion(version)
        .setManifestSha256("digest-" + version)
        .setMovedAt(Instant.EPOCH)
        .setRollback(rollback)
        .setReason("test")
        .build();
  }

  private void send(SnapshotPointer pointer) {
    String topic = loop.name(Topics.SNAPSHOT_POINTERS);
    byte[] value = stack.clients().codec().encode(topic, pointer);
    loop.send(Topics.SNAPSHOT_POINTERS, pointer.getChannel(), value);
  }

  private static final class Recorder implements SnapshotWatcher.Listener {
    private final BlockingQueue<Long> entered = new LinkedBlockingQueue<>();
    private final BlockingQueue<Long> moves = new LinkedBlockingQueue<>();
    private final BlockingQueue<Long> settled = new LinkedBlockingQueue<>();
    private final BlockingQueue<SnapshotException> problems = new LinkedBlockingQueue<>();
    private final Queue<RuntimeException> failures = new ArrayDeque<>();
    private volatile CountDownLatch gate = new CountDownLatch(0);

    Recorder fresh() {
      Recorder recorder = new Recorder();
      recorder.failures.addAll(failures);
      return recorder;
    }

    @Override
    public void moved(SnapshotPointer pointer) {
      entered.add(pointer.getVersion());
      RuntimeException failure = failures.poll();
      if (failure != null) {
        throw failure;
      }
      try {
        gate.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(e);
      }
      entered.clear();
      moves.add(pointer.getVersion());
    }

    @Override
    public void settled(SnapshotPointer pointer) {
      settled.add(pointer.getVersion());
    }

    @Override
    public void problem(SnapshotException problem) {
      problems.add(problem);
    }

    long move() throws InterruptedException {
      Long version = moves.poll(20, TimeUnit.SECONDS);
      assertThat(version).as("a move within 20 s; problems: %s", problems).isNotNull();
      return version;
    }

    SnapshotException problem() throws InterruptedException {
      SnapshotException problem = problems.poll(20, TimeUnit.SECONDS);
      assertThat(problem).as("a problem within 20 s").isNotNull();
      return problem;
    }
  }
}
