package io.reflux.scorer;

import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.DeadLetters;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.scorer.Intake.Finished;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.KafkaException;

/**
 * Writes what finished work leaves behind, with the offsets that say so, in one transaction: all of
 * it or nothing. One transaction at a time; all calls from the loop's thread.
 */
final class LabelTransactions implements AutoCloseable {
  private final KafkaClients clients;
  private final Teacher teacher;
  private final String clientId;
  private final Map<String, String> settings;
  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(
          task -> {
            Thread made = new Thread(task, "reflux-scorer-commit");
            made.setDaemon(true);
            return made;
          });
  private Producer<String, byte[]> producer;
  private TopicWriter<SoftLabels> labels;
  private TopicWriter<SoftLabels> rolloutLabels;
  private DeadLetters deadLetters;

  /**
   * @param transactionalId without the configured prefix
   * @param timeout after which the broker aborts a transaction that was left open
   */
  LabelTransactions(
      KafkaClients clients, Teacher teacher, String transactionalId, Duration timeout) {
    this.clients = clients;
    this.teacher = teacher;
    this.clientId = "reflux-" + transactionalId;
    this.settings =
        Map.of(
            "transactional.id",
            clients.kafka().prefix() + transactionalId,
            "transaction.timeout.ms",
            Long.toString(timeout.toMillis()),
            // The loop itself lets labels gather.
            "linger.ms",
            "0",
            // Labels have nothing left to find, but ids and fingerprints beside them do, and lz4
            // finds less of it.
            "compression.type",
            "zstd");
  }

  /** Opens a producer; what an earlier one of this id left open is aborted. */
  void open() {
    producer = clients.producer(clientId, settings);
    producer.initTransactions();
    labels = clients.writer(Topics.SOFT_LABELS, producer);
    rolloutLabels = clients.writer(Topics.ROLLOUT_LABELS, producer);
    deadLetters = new DeadLetters("scorer", clients, producer);
  }

  /** Replaces the producer, whatever state the old one is in. */
  void reopen() {
    closeProducer();
    open();
  }

  /**
   * One transaction, on a thread of its own; the next one only when this has ended.
   *
   * @return fails with a {@link KafkaException} or {@link
   *     io.reflux.schemas.registry.RegistryException} if it is not known to be committed: then
   *     {@link #reopen} and read again from the committed offsets
   */
  CompletableFuture<Void> write(Finished requests, Finished rollouts) {
    return CompletableFuture.runAsync(
        () -> {
          producer.beginTransaction();
          // First, so that a group that changes meanwhile is more likely to be met in time.
          sendOffsets(requests);
          sendOffsets(rollouts);
          requests.works().forEach(this::send);
          rollouts.works().forEach(this::send);
          // Failures of the sends above come out of the commit.
          producer.commitTransaction();
        },
        thread);
  }

  private void sendOffsets(Finished finished) {
    if (!finished.positions().isEmpty()) {
      producer.sendOffsetsToTransaction(finished.positions(), finished.group());
    }
  }

  @Override
  public void close() {
    closeProducer();
    thread.shutdown();
  }

  private void closeProducer() {
    if (producer != null) {
      // An open transaction is aborted by the next start, or by its timeout.
      producer.close(Duration.ZERO);
      producer = null;
    }
  }

  private void send(Work work) {
    if (work.undecodable() != null) {
      var unused = deadLetters.send(work.undecodable(), 1);
    } else if (work.rejection() != null) {
      var unused =
          deadLetters.send(
              work.received(),
              work.rejection().reason(),
              work.rejection().message(),
              work.attempts());
    } else {
      sendLabels(work);
    }
  }

  private void sendLabels(Work work) {
    SpecificRecord value = work.received().value();
    SoftLabels.Builder record = common(work);
    if (value instanceof Rollout rollout) {
      LabelTask task = work.task();
      record
          .setSupportSize(task.supportSize())
          .setSupportIds(Arrays.stream(task.supportIds()).boxed().toList())
          .setSampledLogprobs(sampledLogprobs(rollout, task.sequence().rows()))
          .setSamplingTemperature(rollout.getTemperature())
          .setRequestId(rollout.getRequestId())
          .setRolloutId(rollout.getRolloutId())
          .setStudentVersion(rollout.getStudentVersion())
          .setSegment(rollout.getSegment())
          .setRequestedAt(rollout.getRequestedAt());
      var unused = rolloutLabels.send(rollout.getRolloutId(), record.build(), null, work.trace());
    } else {
      MirroredRequest request = (MirroredRequest) value;
      record
          .setRequestId(request.getRequestId())
          .setSegment(request.getSegment())
          .setSamplingProbability(request.getSamplingProbability())
          .setRequestedAt(request.getReceivedAt());
      var unused = labels.send(request.getRequestId(), record.build(), null, work.trace());
    }
  }

  /** Where the sequence was cut, so are they. */
  private static List<Float> sampledLogprobs(Rollout rollout, int rows) {
    List<Float> logprobs = rollout.getSampledLogprobs();
    return logprobs.size() <= rows ? logprobs : logprobs.subList(0, rows);
  }

  private SoftLabels.Builder common(Work work) {
    Sequence sequence = work.task().sequence();
    return SoftLabels.newBuilder()
        .setOrigin(sequence.origin())
        .setScoredAt(Instant.now())
        .setTeacherFingerprint(teacher.fingerprint())
        .setTokenizerFingerprint(teacher.tokenizerFingerprint())
        .setChatTemplateFingerprint(teacher.chatTemplateFingerprint())
        .setVocabularySize(teacher.vocabularySize())
        .setTokenIds(Arrays.stream(sequence.tokenIds()).boxed().toList())
        .setPromptLength(sequence.promptLength())
        .setTemperature(work.task().temperature())
        .setTruncated(sequence.truncated())
        .setLabels(ByteBuffer.wrap(work.labels()));
  }
}
