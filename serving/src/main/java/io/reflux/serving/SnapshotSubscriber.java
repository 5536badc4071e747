package io.reflux.serving;

import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.KeyValueFormat;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.schemas.avro.FleetReport;
import io.reflux.schemas.avro.FleetStage;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.FetchedSnapshot;
import io.reflux.snapshots.FleetMember;
import io.reflux.snapshots.FleetReporter;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotFetcher;
import io.reflux.snapshots.SnapshotWatcher;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the current snapshot of a channel in memory, ready to generate. Needs no HTTP.
 *
 * <p>A new version is fetched, verified, loaded, warmed and asked its golden prompts beside the old
 * one, and only then takes its place. Who holds a {@link Lease} on the old one finishes on it; its
 * memory is released when the last lease is closed. When anything fails the old one stays, and the
 * problem is reported: to listeners, and upstream on {@code fleet-reports}.
 *
 * <pre>{@code
 * try (SnapshotSubscriber.Lease lease = subscriber.acquire().orElseThrow()) {
 *   lease.served().generate(request, null).result().join();
 * }
 * }</pre>
 */
public final class SnapshotSubscriber implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(SnapshotSubscriber.class);
  private static final int CLOSE_PATIENCE_SECONDS = 20;

  /**
   * What to follow and how to run it.
   *
   * @param dataDirectory holds the fetched snapshots and the memory of the version served last
   * @param keepSnapshots snapshots kept on the disk beside those in use
   * @param slots continuations at the same time
   * @param maxPositions longest prompt and continuation together; the model's limit where lower
   * @param prefixCacheBytes most memory a version for the beginnings of prompts; 0 for none
   * @param keyValues how keys and values are kept
   * @param member as whom it reports what it serves
   * @param golden what versions have to answer, beside the golden prompts that they bring along
   */
  public record Options(
      String channel,
      Path dataDirectory,
      int keepSnapshots,
      int slots,
      int maxPositions,
      long prefixCacheBytes,
      KeyValueFormat keyValues,
      RuntimeOptions runtime,
      FleetMember member,
      Optional<GoldenFile> golden) {
    public Options {
      requireAtLeast("keep-snapshots", keepSnapshots, 0);
      requireAtLeast("slots", slots, 1);
      requireAtLeast("max-positions", maxPositions, 2);
    }

    /** Of the fleet {@code subscriber}, without golden prompts of its own. */
    public Options(
        String channel,
        Path dataDirectory,
        int keepSnapshots,
        int slots,
        int maxPositions,
        long prefixCacheBytes,
        KeyValueFormat keyValues,
        RuntimeOptions runtime) {
      this(
          channel,
          dataDirectory,
          keepSnapshots,
          slots,
          maxPositions,
          prefixCacheBytes,
          keyValues,
          runtime,
          FleetMember.of("subscriber", "subscriber", dataDirectory),
          Optional.empty());
    }

    private static void requireAtLeast(String name, int value, int least) {
      if (value < least) {
        throw new RefluxException(name + ": " + value + " (expected: at least " + least + ")");
      }
    }
  }

  /** Who wants to know of changes. Called on the subscriber's thread, after the change. */
  public interface Listener {
    /** A new version is served. */
    void swapped(ServedModel now);

    /** A version could not be served; what was served before still is. */
    default void problem(SnapshotException problem) {}

    /** A version has left memory. On a thread of its own, after its last lease was closed. */
    default void released(long version) {}

    /** This is what goes upstream. */
    default void reported(FleetReport report) {}
  }

  /** A version whose answers were wrong, and would be again. */
  private record Failed(String manifestSha256, SnapshotException problem) {}

  private final Options options;
  private final SnapshotFetcher fetcher;
  private final SnapshotWatcher watcher;
  private final FleetReporter reporter;
  private final AtomicReference<ServedModel> current = new AtomicReference<>();
  // How often a version is in memory: after a rollback an old engine of it may still finish.
  private final Map<Long, Integer> alive = new ConcurrentHashMap<>();
  private final Deque<Long> recent = new ArrayDeque<>();
  private final List<Listener> listeners = new CopyOnWriteArrayList<>();
  private final AtomicBoolean closed = new AtomicBoolean();
  // The watcher's thread alone touches it.
  private Optional<Failed> failed = Optional.empty();
  private final ExecutorService closer =
      Executors.newSingleThreadExecutor(
          task -> {
            Thread thread = new Thread(task, "snapshot-closer");
            thread.setDaemon(true);
            return thread;
          });

  public SnapshotSubscriber(SnapshotAccess access, Options options) {
    this.options = options;
    Path root = options.dataDirectory().toAbsolutePath();
    this.fetcher = new SnapshotFetcher(access, root.resolve("snapshots"));
    this.reporter = new FleetReporter(access.clients(), options.member(), options.channel());
    reporter.addListener(report -> listeners.forEach(listener -> listener.reported(report)));
    this.watcher =
        new SnapshotWatcher(
            access,
            options.channel(),
            root.resolve("served-" + options.channel() + ".json"),
            new Moves());
  }

  /** What the channel does. */
  private final class Moves implements SnapshotWatcher.Listener {
    @Override
    public void moved(SnapshotPointer pointer) {
      swapTo(pointer);
    }

    @Override
    public void settled(SnapshotPointer pointer) {
      reporter.serves(pointer);
    }

    @Override
    public void refused(SnapshotPointer pointer, SnapshotException problem) {
      tell(problem);
      reporter.refuses(pointer, problem, servedVersion());
    }

    @Override
    public void problem(SnapshotException problem) {
      tell(problem);
      reporter.hears(problem, servedVersion());
    }

    private void tell(SnapshotException problem) {
      log.warn("channel {}: {}", options.channel(), problem.getMessage());
      listeners.forEach(listener -> listener.problem(problem));
    }

    private OptionalLong servedVersion() {
      ServedModel served = current.get();
      return served == null ? OptionalLong.empty() : OptionalLong.of(served.version());
    }
  }

  /** Adds a listener; best before the start, so that it misses nothing. */
  public void addListener(Listener listener) {
    listeners.add(listener);
  }

  /**
   * Begins to follow the channel. Returns at once: the first version is there when a listener hears
   * of it.
   */
  public void start() {
    watcher.start();
  }

  /** The channel it follows. */
  public String channel() {
    return options.channel();
  }

  /** The model served now, for looking at; to generate with it, {@link #acquire} it. */
  public Optional<ServedModel> current() {
    return Optional.ofNullable(current.get());
  }

  /**
   * How many models are in memory: the current one, one that is being loaded, and those that
   * requests finish on.
   */
  public int modelsInMemory() {
    return alive.values().stream().mapToInt(Integer::intValue).sum();
  }

  /** Holds the model served now; empty before the first one, and after the close. */
  public Optional<Lease> acquire() {
    while (true) {
      ServedModel served = current.get();
      if (served == null) {
        return Optional.empty();
      }
      if (served.hold()) {
        return Optional.of(new Lease(served));
      }
      // It went out between the two lines; its successor is current already.
    }
  }

  /** Holds a model in memory until it is closed. */
  public static final class Lease implements AutoCloseable {
    private final ServedModel served;
    private final AtomicBoolean released = new AtomicBoolean();

    private Lease(ServedModel served) {
      this.served = served;
    }

    /** What is held. */
    public ServedModel served() {
      return served;
    }

    /** Safe to call twice. */
    @Override
    public void close() {
      if (released.compareAndSet(false, true)) {
        served.letGo();
      }
    }
  }

  /** Lets the current model go; leases that are still open keep theirs. */
  @Override
  public void close() {
    if (!closed.compareAndSet(false, true)) {
      return;
    }
    watcher.close();
    reporter.close();
    ServedModel last = current.getAndSet(null);
    if (last != null) {
      last.letGo();
    }
    if (alive.isEmpty()) {
      closer.shutdown();
    }
    try {
      if (!closer.awaitTermination(CLOSE_PATIENCE_SECONDS, TimeUnit.SECONDS)) {
        log.warn(
            "versions {} are still held {} s after the close",
            alive.keySet(),
            CLOSE_PATIENCE_SECONDS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void swapTo(SnapshotPointer pointer) {
    long began = System.nanoTime();
    reporter.begins(pointer);
    requireNotFailed(pointer);
    FetchedSnapshot snapshot = fetcher.fetch(pointer);
    ServedModel next = load(snapshot, pointer);
    reporter.reaches(FleetStage.FLIP);
    ServedModel previous = current.getAndSet(next);
    log.info(
        "channel {}: serving version {} instead of {}, {} ms after the pointer was seen",
        options.channel(),
        next.version(),
        previous == null ? "none" : previous.version(),
        TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began));
    if (previous != null) {
      previous.letGo();
    }
    if (closed.get() && current.compareAndSet(next, null)) {
      // The close did not wait for this one.
      next.letGo();
      return;
    }
    clearCache(next.version());
    listeners.forEach(listener -> listener.swapped(next));
  }

  private void requireNotFailed(SnapshotPointer pointer) {
    failed
        .filter(one -> one.manifestSha256().equals(pointer.getManifestSha256()))
        .ifPresent(
            one -> {
              reporter.reaches(FleetStage.GOLDEN);
              throw one.problem();
            });
  }

  private ServedModel load(FetchedSnapshot snapshot, SnapshotPointer pointer) {
    long version = snapshot.version();
    alive.merge(version, 1, Integer::sum);
    boolean loaded = false;
    try {
      ServedModel served = open(snapshot, pointer);
      loaded = true;
      return served;
    } finally {
      if (!loaded) {
        forget(version);
      }
    }
  }

  private ServedModel open(FetchedSnapshot snapshot, SnapshotPointer pointer) {
    reporter.reaches(FleetStage.VERIFY);
    LanguageModel model = LanguageModel.load(snapshot.directory());
    checkFingerprints(snapshot.manifest(), model);
    reporter.reaches(FleetStage.LOAD);
    int maxPositions = Math.min(options.maxPositions(), model.config().maxPositions());
    GenerationEngine engine =
        new GenerationEngine(
            model.config(),
            model.weights(),
            new EngineOptions(
                options.slots(), maxPositions, options.prefixCacheBytes(), options.keyValues()),
            options.runtime());
    boolean sound = false;
    try {
      reporter.reaches(FleetStage.WARM);
      new WarmUp(snapshot.version(), model, engine, maxPositions).run();
      reporter.reaches(FleetStage.GOLDEN);
      checkGolden(model, engine, pointer);
      sound = true;
    } finally {
      if (!sound) {
        engine.close();
      }
    }
    return new ServedModel(
        snapshot, model, engine, maxPositions, closer, () -> gone(snapshot.version()));
  }

  /** Greedy answers are the same each time, so a version that fails need not be asked again. */
  private void checkGolden(LanguageModel model, GenerationEngine engine, SnapshotPointer pointer) {
    Optional<String> problem =
        new GoldenPromptCheck(options.golden()).problem(options.channel(), model, engine);
    if (problem.isPresent()) {
      SnapshotException refusal =
          new SnapshotException(
              SnapshotException.Kind.REFUSED,
              "snapshot " + pointer.getVersion() + ": " + problem.get());
      failed = Optional.of(new Failed(pointer.getManifestSha256(), refusal));
      throw refusal;
    }
  }

  private void gone(long version) {
    forget(version);
    log.info("channel {}: version {} is out of memory", options.channel(), version);
    listeners.forEach(listener -> listener.released(version));
  }

  private void forget(long version) {
    alive.computeIfPresent(version, (key, count) -> count == 1 ? null : count - 1);
    if (closed.get() && alive.isEmpty()) {
      closer.shutdown();
    }
  }

  private static void checkFingerprints(SnapshotManifest manifest, LanguageModel model) {
    check(manifest, "weights", manifest.getStudentFingerprint(), model.fingerprint());
    check(manifest, "tokenizer", manifest.getTokenizerFingerprint(), model.tokenizerFingerprint());
    check(
        manifest,
        "chat template",
        manifest.getChatTemplateFingerprint(),
        model.chatTemplateFingerprint());
  }

  private static void check(
      SnapshotManifest manifest, String what, String expected, String actual) {
    if (!expected.equals(actual)) {
      throw new SnapshotException(
          SnapshotException.Kind.REFUSED,
          "snapshot "
              + manifest.getVersion()
              + ": fingerprint of its "
              + what
              + ": '"
              + actual
              + "' (expected: '"
              + expected
              + "', as its manifest says)");
    }
  }

  /** A full cache is no reason to refuse a version that is served already. */
  private void clearCache(long served) {
    recent.remove(served);
    recent.addLast(served);
    while (recent.size() > options.keepSnapshots() + 1) {
      recent.removeFirst();
    }
    Set<Long> keep = new HashSet<>(alive.keySet());
    keep.addAll(recent);
    try {
      fetcher.retain(keep);
    } catch (SnapshotException e) {
      log.warn("{}", e.getMessage());
    }
  }
}
