package io.reflux.snapshots;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.schemas.avro.FleetOutcome;
import io.reflux.schemas.avro.FleetReport;
import io.reflux.schemas.avro.FleetStage;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the {@code fleet-reports} topic what one instance serves of a channel, and what became of
 * the last move that it saw.
 *
 * <p>It never fails or delays whoever serves: reports go out on a thread of their own, only the
 * latest is kept, and while Kafka or the registry is away it is tried again every few seconds. Once
 * it is there it is repeated each minute, so that an instance that fell silent can be told from one
 * that has nothing new to say. The last thing that goes out, at the close, deletes the report.
 *
 * <p>{@link #begins}, {@link #reaches}, {@link #serves}, {@link #refuses} and {@link #hears} belong
 * to the thread that follows the channel.
 */
public final class FleetReporter implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(FleetReporter.class);
  private static final Duration RETRY = Duration.ofSeconds(5);
  private static final Duration REPEAT = Duration.ofMinutes(1);
  private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(2);

  /** Longer lines are cut: a report is for people. */
  private static final int MOST_REASON_CHARACTERS = 2000;

  private static final Map<String, String> PRODUCER_SETTINGS =
      Map.of(
          "max.block.ms", "3000",
          "request.timeout.ms", "3000",
          "delivery.timeout.ms", "5000",
          "linger.ms", "0",
          "buffer.memory", Integer.toString(4 << 20));

  private final KafkaClients clients;
  private final FleetMember member;
  private final String channel;
  private final Supplier<Producer<String, byte[]>> producers;
  private final Duration retry;
  private final List<Consumer<FleetReport>> listeners = new CopyOnWriteArrayList<>();
  private final AtomicBoolean ticking = new AtomicBoolean();
  private final AtomicBoolean waking = new AtomicBoolean();
  private final ScheduledExecutorService scheduler;

  private volatile FleetReport latest;
  private volatile FleetReport delivered;
  private volatile long deliveredNanos;
  private volatile boolean failing;

  // The thread that follows the channel alone touches these.
  private SnapshotPointer seen;
  private long seenNanos;
  private FleetStage stage = FleetStage.UNKNOWN;

  /** Opened by the scheduler's thread. */
  private volatile Producer<String, byte[]> producer;

  // The scheduler's thread alone touches these.
  private TopicWriter<FleetReport> writer;
  private boolean hasSent;

  /** Opens nothing before the first report. */
  public FleetReporter(KafkaClients clients, FleetMember member, String channel) {
    this(
        clients,
        member,
        channel,
        () -> clients.producer("fleet-" + member.service(), PRODUCER_SETTINGS),
        RETRY);
  }

  FleetReporter(
      KafkaClients clients,
      FleetMember member,
      String channel,
      Supplier<Producer<String, byte[]>> producers,
      Duration retry) {
    this.clients = clients;
    this.member = member;
    this.channel = channel;
    this.producers = producers;
    this.retry = retry;
    this.scheduler =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "fleet-reports-" + channel);
              thread.setDaemon(true);
              return thread;
            });
  }

  /**
   * Counts reports by channel, outcome and stage as {@code fleet_reports_total}.
   *
   * @return to be {@linkplain #addListener added}
   */
  public static Consumer<FleetReport> counting(MeterRegistry meters) {
    return report ->
        Counter.builder("fleet_reports_total")
            .description(
                "Versions taken into service, refused, or failed, by the stage they reached")
            .tag("channel", report.getChannel())
            .tag("outcome", word(report.getOutcome()))
            .tag("stage", word(report.getStage()))
            .register(meters)
            .increment();
  }

  private static String word(Enum<?> symbol) {
    return symbol.name().toLowerCase(Locale.ROOT);
  }

  /** Who wants to hear of each report, on the thread that makes it; best before the first. */
  public void addListener(Consumer<FleetReport> listener) {
    listeners.add(listener);
  }

  /** Work on a version begins; the same pointer, offered again, was seen when it came first. */
  public void begins(SnapshotPointer pointer) {
    see(pointer);
    stage = FleetStage.FETCH;
  }

  /** What the version under work has come to. */
  public void reaches(FleetStage next) {
    stage = next;
  }

  /** A version is in service. */
  public void serves(SnapshotPointer pointer) {
    see(pointer);
    publish(
        FleetOutcome.SERVING,
        stage == FleetStage.UNKNOWN ? FleetStage.FLIP : stage,
        "",
        OptionalLong.of(pointer.getVersion()));
  }

  /**
   * A version was not taken.
   *
   * @param serving what serves instead
   */
  public void refuses(SnapshotPointer pointer, SnapshotException problem, OptionalLong serving) {
    if (!pointer.equals(seen)) {
      // Nobody began to work on it: its pointer was enough.
      see(pointer);
      stage = FleetStage.VERIFY;
    }
    boolean verifying = isVerification(problem.kind());
    publish(
        isAround(problem.kind()) ? FleetOutcome.FAILED : FleetOutcome.REFUSED,
        stage == FleetStage.FETCH && verifying ? FleetStage.VERIFY : stage,
        oneLine(problem),
        serving);
  }

  /**
   * The channel cannot be followed, and there is no version to speak of. Reported if what it says
   * cannot be read or believed; a broker that is away would hear of it when it is back, and it
   * would be wrong by then.
   *
   * @param serving what serves meanwhile
   */
  public void hears(SnapshotException problem, OptionalLong serving) {
    if (isVerification(problem.kind())) {
      seen = null;
      seenNanos = System.nanoTime();
      publish(FleetOutcome.REFUSED, FleetStage.VERIFY, oneLine(problem), serving);
    }
  }

  /** Takes the report back, as far as Kafka answers soon. */
  @Override
  public void close() {
    if (scheduler.isShutdown()) {
      return;
    }
    scheduler.execute(this::leave);
    scheduler.shutdown();
    boolean left = false;
    try {
      left =
          scheduler.awaitTermination(
              CLOSE_TIMEOUT.multipliedBy(2).toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (!left) {
      scheduler.shutdownNow();
      closeProducer(Duration.ZERO);
    }
  }

  private void closeProducer(Duration patience) {
    Producer<String, byte[]> open = producer;
    if (open != null) {
      open.close(patience);
    }
  }

  private void see(SnapshotPointer pointer) {
    if (!pointer.equals(seen)) {
      seen = pointer;
      seenNanos = System.nanoTime();
    }
  }

  private void publish(
      FleetOutcome outcome, FleetStage reached, String reason, OptionalLong serving) {
    FleetReport report =
        FleetReport.newBuilder()
            .setFleet(member.fleet())
            .setService(member.service())
            .setInstance(member.instance())
            .setChannel(channel)
            .setVersion(seen == null ? null : seen.getVersion())
            .setOutcome(outcome)
            .setStage(reached)
            .setReason(reason)
            .setAt(Instant.now())
            .setMillisSinceSeen(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - seenNanos))
            .setServingVersion(serving.isPresent() ? serving.getAsLong() : null)
            .build();
    latest = report;
    listeners.forEach(listener -> listener.accept(report));
    try {
      if (ticking.compareAndSet(false, true)) {
        var unused =
            scheduler.scheduleWithFixedDelay(
                this::tick, 0, retry.toMillis(), TimeUnit.MILLISECONDS);
      } else if (waking.compareAndSet(false, true)) {
        // However many reports come while one is on its way: the latest goes out after it.
        scheduler.execute(this::send);
      }
    } catch (RejectedExecutionException e) {
      log.debug("channel {}: a report after the close", channel);
    }
  }

  private void tick() {
    FleetReport there = delivered;
    if (there != latest || System.nanoTime() - deliveredNanos >= REPEAT.toNanos()) {
      send();
    }
  }

  private void send() {
    waking.set(false);
    FleetReport report = latest;
    try {
      open();
      var unused =
          writer
              .send(member.key(channel), report)
              .whenComplete((sent, error) -> sent(report, error));
      hasSent = true;
    } catch (RefluxException | KafkaException e) {
      sent(report, e);
    }
  }

  private void open() {
    if (writer == null) {
      Producer<String, byte[]> opened = producers.get();
      producer = opened;
      writer = clients.writer(Topics.FLEET_REPORTS, opened);
    }
  }

  private void sent(FleetReport report, Throwable error) {
    if (error == null) {
      deliveredNanos = System.nanoTime();
      delivered = report;
      failing = false;
    } else if (!failing) {
      failing = true;
      log.warn("Channel {}: the fleet's report waits: {}", channel, error.getMessage());
    }
  }

  private void leave() {
    try {
      // Also one that is still on its way: this goes out behind it.
      if (hasSent) {
        var unused = writer.delete(member.key(channel));
      }
    } catch (KafkaException e) {
      log.debug("channel {}: the fleet's report stays", channel, e);
    } finally {
      closeProducer(CLOSE_TIMEOUT);
    }
  }

  /** Nothing wrong with the version: another attempt may do. */
  private static boolean isAround(SnapshotException.Kind kind) {
    return switch (kind) {
      case NOT_FOUND, MISSING_CHUNK, STORE, STORAGE, KAFKA, FENCED -> true;
      default -> false;
    };
  }

  private static boolean isVerification(SnapshotException.Kind kind) {
    return switch (kind) {
      case BAD_MANIFEST,
          UNSAFE_PATH,
          UNTRUSTED,
          CORRUPT_CHUNK,
          CORRUPT_FILE,
          BAD_DELTA,
          UNREADABLE_POINTER,
          BACKWARDS ->
          true;
      default -> false;
    };
  }

  private static String oneLine(SnapshotException problem) {
    String line = String.valueOf(problem.getMessage()).replaceAll("\\p{Cntrl}+", " ").strip();
    return line.length() <= MOST_REASON_CHARACTERS
        ? line
        : line.substring(0, MOST_REASON_CHARACTERS - 1) + "…";
  }
}
