package io.reflux.monitor.probe;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.model.ModelException;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.DeadLetters;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.kafka.Undecodable;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotAccess;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compares the served student with its teacher on every labelled request, in a thread of its own.
 *
 * <p>The figures are prequential: a label is met by the student before that student was trained on
 * it. Should the probe fall behind, so that the served snapshot has seen a label, the label is
 * counted and passed over; so the probe neither flatters the student nor stays behind. Rollouts are
 * on another topic and never looked at.
 *
 * <p>Divergences and consumer offsets go out in one transaction: one divergence a compared request
 * under read_committed, whatever is killed when. What cannot be compared goes to the dead letters
 * in the same transaction.
 */
public final class DriftProbe implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(DriftProbe.class);
  private static final Duration POLL = Duration.ofMillis(200);
  private static final Duration RETRY = Duration.ofSeconds(1);
  private static final Duration CLOSE_LIMIT = Duration.ofSeconds(30);

  /** So many that a small backlog comes in one piece, and leaves in the order of its requests. */
  private static final String MAX_POLL_RECORDS = "500";

  private final KafkaClients clients;
  private final ProbeOptions options;
  private final String transactionalId;
  private final StudentSlot slot;
  private final Admission admission;
  private final Thread thread = new Thread(this::run, "drift-probe");
  private final CountDownLatch closing = new CountDownLatch(1);
  private final CompletableFuture<Void> termination = new CompletableFuture<>();
  private final AtomicLong version = new AtomicLong();
  private final MeterRegistry meters;
  private final Counter compared;
  private final Counter positions;
  private final Counter notSampled;
  private final Counter overLimit;
  private final Counter alreadyTrained;
  private ServedStudent student;

  /**
   * @param channel whose served version is compared
   * @param dataDir for fetched snapshots
   * @param transactionalId the same after a restart, and never used by two running probes
   */
  public DriftProbe(
      SnapshotAccess snapshots,
      ProbeOptions options,
      String channel,
      Path dataDir,
      String transactionalId,
      MeterRegistry meters) {
    this.clients = snapshots.clients();
    this.options = options;
    this.transactionalId = transactionalId;
    this.slot = new StudentSlot(snapshots, channel, dataDir, options.runtime());
    this.admission =
        new Admission(options.sampling(), options.maxRequestsPerSecond(), System::nanoTime);
    this.meters = meters;
    this.compared = meters.counter("probe_compared_requests_total");
    this.positions = meters.counter("probe_compared_positions_total");
    this.notSampled = meters.counter("probe_skipped_sampling_total");
    this.overLimit = meters.counter("probe_skipped_load_total");
    this.alreadyTrained = meters.counter("probe_skipped_trained_total");
    meters.gauge("probe_student_version", version);
    thread.setDaemon(true);
  }

  /** Begins to compare as soon as there is a served version. */
  public void start() {
    slot.start();
    thread.start();
  }

  /** Version that is compared now; 0 before the first. */
  public long studentVersion() {
    return version.get();
  }

  /** Completes exceptionally when the probe has failed for good, normally once it is closed. */
  public CompletionStage<Void> termination() {
    return termination;
  }

  /** Finishes the batch at hand. */
  @Override
  public void close() {
    closing.countDown();
    try {
      thread.join(CLOSE_LIMIT.toMillis());
      if (thread.isAlive()) {
        thread.interrupt();
      }
    } catch (InterruptedException e) {
      thread.interrupt();
      Thread.currentThread().interrupt();
    }
    slot.close();
    termination.complete(null);
  }

  private boolean closed() {
    return closing.getCount() == 0;
  }

  private void run() {
    try {
      while (!closed() && student == null) {
        slot.next(RETRY).ifPresent(this::adopt);
      }
      while (!closed()) {
        try {
          compareUntilClosed();
        } catch (KafkaException e) {
          log.warn("drift probe: {}; starting over", e.toString());
        } catch (RefluxException e) {
          // Such as a registry that does not answer.
          log.warn("drift probe: {}; starting over", e.getMessage());
        }
        if (closing.await(RETRY.toMillis(), TimeUnit.MILLISECONDS)) {
          break;
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (RuntimeException e) {
      log.error("drift probe failed: {}", e.toString(), e);
      termination.completeExceptionally(e);
    } finally {
      if (student != null) {
        student.close();
      }
    }
  }

  private void adopt(ServedStudent next) {
    if (student != null) {
      student.close();
    }
    student = next;
    version.set(next.version());
    log.info("drift probe: compares version {}", next.version());
  }

  private void compareUntilClosed() throws InterruptedException {
    try (Producer<String, byte[]> producer =
            clients.transactionalProducer("monitor-probe", transactionalId);
        TopicReader<SoftLabels> reader =
            clients.reader(
                Topics.SOFT_LABELS,
                clients.consumer(
                    "monitor-probe",
                    "monitor-probe",
                    Map.of("max.poll.records", MAX_POLL_RECORDS)))) {
      producer.initTransactions();
      TopicWriter<Divergence> writer = clients.writer(Topics.DIVERGENCES, producer);
      DeadLetters dead = new DeadLetters("monitor", clients, producer);
      reader.subscribe();
      while (!closed()) {
        slot.next(Duration.ZERO).ifPresent(this::adopt);
        List<Undecodable> undecodable = new ArrayList<>();
        List<Received<SoftLabels>> received = reader.poll(POLL, undecodable::add);
        if (received.isEmpty() && undecodable.isEmpty()) {
          continue;
        }
        producer.beginTransaction();
        // What fails to be sent fails the commit.
        undecodable.forEach(
            record -> {
              var unused = dead.send(record, 1);
            });
        count("undecodable", undecodable.size());
        List<Divergence> divergences = compareAll(received, dead);
        divergences.forEach(
            divergence -> {
              var unused = writer.send(divergence.getSegment(), divergence);
            });
        producer.sendOffsetsToTransaction(reader.positions(), reader.consumer().groupMetadata());
        producer.commitTransaction();
        compared.increment(divergences.size());
        positions.increment(divergences.stream().mapToInt(Divergence::getPositions).sum());
      }
    }
  }

  private List<Divergence> compareAll(List<Received<SoftLabels>> received, DeadLetters dead) {
    List<Labelled> wanted = new ArrayList<>();
    for (Received<SoftLabels> record : received) {
      if (wanted(record)) {
        read(record, dead).ifPresent(wanted::add);
      }
    }
    List<Divergence> divergences = new ArrayList<>();
    for (List<Labelled> batch : batches(wanted, options.batchTokens())) {
      divergences.addAll(compare(batch, dead));
    }
    // Windows close by event time: partitions read in turn must not arrive as late ones.
    divergences.sort(Comparator.comparing(Divergence::getRequestedAt));
    return divergences;
  }

  private boolean wanted(Received<SoftLabels> record) {
    Origin origin = record.value().getOrigin();
    if (origin != Origin.REQUEST && origin != Origin.TEACHER) {
      return false;
    }
    if (!admission.sampled(record.value().getRequestId())) {
      notSampled.increment();
      return false;
    }
    if (options.prequential() && student.trainedOn(record)) {
      alreadyTrained.increment();
      return false;
    }
    if (!admission.admit()) {
      overLimit.increment();
      return false;
    }
    return true;
  }

  private Optional<Labelled> read(Received<SoftLabels> record, DeadLetters dead) {
    Optional<Refusal> refusal = student.refuse(record.value());
    if (refusal.isPresent()) {
      refuse(record, refusal.get(), dead);
      return Optional.empty();
    }
    try {
      Labelled labelled = Labelled.of(record);
      refusal = student.refuse(labelled);
      if (refusal.isPresent()) {
        refuse(record, refusal.get(), dead);
        return Optional.empty();
      }
      return labelled.countedRows() == 0 ? Optional.empty() : Optional.of(labelled);
    } catch (SoftLabelFormatException e) {
      refuse(record, new Refusal("bad_labels", e.getMessage()), dead);
      return Optional.empty();
    }
  }

  private List<Divergence> compare(List<Labelled> batch, DeadLetters dead) {
    try {
      return student.compare(batch);
    } catch (ModelException e) {
      if (batch.size() == 1) {
        refuse(batch.get(0).received(), new Refusal("not_scorable", e.getMessage()), dead);
        return List.of();
      }
      // One bad sequence must not take its neighbours along.
      List<Divergence> divergences = new ArrayList<>();
      batch.forEach(labelled -> divergences.addAll(compare(List.of(labelled), dead)));
      return divergences;
    }
  }

  private void refuse(Received<SoftLabels> record, Refusal refusal, DeadLetters dead) {
    count(refusal.reason(), 1);
    log.warn("drift probe: {}: {}", record.coordinates(), refusal.message());
    var unused = dead.send(record, refusal.reason(), refusal.message(), 1);
  }

  private void count(String reason, int times) {
    meters.counter("probe_refused_total", "reason", reason).increment(times);
  }

  /** Sequences of like length together, each batch within the budget, padding included. */
  static List<List<Labelled>> batches(List<Labelled> all, int budget) {
    List<Labelled> byLength = new ArrayList<>(all);
    byLength.sort(Comparator.comparingInt(Labelled::tokens));
    List<List<Labelled>> batches = new ArrayList<>();
    List<Labelled> batch = new ArrayList<>();
    for (Labelled next : byLength) {
      // Sorted: the newcomer is the longest.
      if (!batch.isEmpty() && (batch.size() + 1L) * next.tokens() > budget) {
        batches.add(batch);
        batch = new ArrayList<>();
      }
      batch.add(next);
    }
    if (!batch.isEmpty()) {
      batches.add(batch);
    }
    return batches;
  }
}
