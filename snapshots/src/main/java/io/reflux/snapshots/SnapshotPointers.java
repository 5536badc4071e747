package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotException.Kind;
import java.time.Clock;
import java.util.Optional;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.UnknownServerException;

/**
 * Moves the pointers of channels. Each move is a transaction under the channel's own id: two that
 * meet fence each other, and the loser looks again before it tries again, so none is decided on an
 * old reading.
 */
public final class SnapshotPointers {
  private static final int ATTEMPTS = 5;

  private final KafkaClients clients;
  private final Clock clock;
  private final SnapshotCatalog catalog;

  public SnapshotPointers(KafkaClients clients) {
    this(clients, Clock.systemUTC());
  }

  SnapshotPointers(KafkaClients clients, Clock clock) {
    this.clients = clients;
    this.clock = clock;
    this.catalog = new SnapshotCatalog(clients);
  }

  /**
   * Moves a channel to a published version that is not older than the one it serves. Where it
   * serves that version already, nothing is written.
   *
   * @param reason for people
   * @return the pointer as it stands now
   * @throws SnapshotException of kind BACKWARDS if the version is older
   */
  public SnapshotPointer promote(String channel, long version, String reason) {
    return move(channel, catalog.require(version), reason, Move.PROMOTE);
  }

  /**
   * Moves a channel back, on record. Also repairs a channel whose newest pointer cannot be read.
   *
   * @param reason for people
   * @return the pointer as it stands now
   * @throws SnapshotException if the channel has no pointer, or the version is not older than its
   */
  public SnapshotPointer rollback(String channel, long version, String reason) {
    return move(channel, catalog.require(version), reason, Move.ROLLBACK);
  }

  /** Like promote, but leaves a channel alone that something newer has reached already. */
  SnapshotPointer forward(String channel, SnapshotCatalog.Entry entry, String reason) {
    return move(channel, entry, reason, Move.FORWARD);
  }

  private enum Move {
    PROMOTE,
    FORWARD,
    ROLLBACK
  }

  private SnapshotPointer move(
      String channel, SnapshotCatalog.Entry entry, String reason, Move move) {
    long version = entry.manifest().getVersion();
    if (channel.isBlank()) {
      throw new SnapshotException(
          Kind.NOT_FOUND, "channel: '" + channel + "' (expected: a name such as stable)");
    }
    String topic = Topics.SNAPSHOT_POINTERS.fullName(clients.kafka());
    KafkaException last = null;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      try (Producer<String, byte[]> producer =
          clients.transactionalProducer("snapshot-pointers", "snapshot-pointer-" + channel)) {
        // Before the pointer is read: whoever read it earlier can no longer commit.
        producer.initTransactions();
        Decision decision = decide(channel, version, move);
        if (decision.standing().isPresent()) {
          return decision.standing().get();
        }
        SnapshotPointer pointer =
            SnapshotPointer.newBuilder()
                .setChannel(channel)
                .setVersion(version)
                .setManifestSha256(entry.sha256())
                .setMovedAt(clock.instant())
                .setRollback(decision.rollback())
                .setReason(reason)
                .build();
        byte[] encoded = clients.codec().encode(topic, pointer);
        producer.beginTransaction();
        Future<RecordMetadata> sent = producer.send(new ProducerRecord<>(topic, channel, encoded));
        producer.commitTransaction();
        TopicScan.awaitVisible(clients, ChunkSender.await(sent));
        return pointer;
      } catch (KafkaException e) {
        // A coordinator that two producers race for has also been seen to answer "unexpected
        // error".
        if (Fencing.causedBy(e) || e instanceof UnknownServerException) {
          last = e;
          continue;
        }
        throw new SnapshotException(
            Kind.KAFKA, "pointer of channel " + channel + ": not moved: " + e.getMessage(), e);
      }
    }
    throw new SnapshotException(
        Kind.FENCED,
        "pointer of channel "
            + channel
            + ": fenced "
            + ATTEMPTS
            + " times by others that move it (expected: fewer at a time)",
        last);
  }

  /**
   * @param standing the present pointer, if it shall stay
   */
  private record Decision(Optional<SnapshotPointer> standing, boolean rollback) {}

  private Decision decide(String channel, long version, Move move) {
    Optional<SnapshotPointer> current;
    try {
      current = catalog.pointer(channel);
    } catch (SnapshotException e) {
      if (e.kind() == Kind.UNREADABLE_POINTER && move == Move.ROLLBACK) {
        return new Decision(Optional.empty(), true);
      }
      throw e;
    }
    long served = current.map(SnapshotPointer::getVersion).orElse(0L);
    if (move == Move.ROLLBACK) {
      if (version >= served) {
        throw new SnapshotException(
            served == 0 ? Kind.NOT_FOUND : Kind.BACKWARDS,
            "rollback of channel "
                + channel
                + ": to version "
                + version
                + " (expected: one below the "
                + (served == 0 ? "pointer, and there is none" : "present " + served)
                + ")");
      }
      return new Decision(Optional.empty(), true);
    }
    if (version == served || (version < served && move == Move.FORWARD)) {
      return new Decision(current, false);
    }
    if (version < served) {
      throw new SnapshotException(
          Kind.BACKWARDS,
          "promotion on channel "
              + channel
              + ": to version "
              + version
              + " (expected: at least the present "
              + served
              + ", or an explicit rollback)");
    }
    // Forward from a rollback, yet short of what was served before it: for a reader that missed the
    // rollback this is still a step back, and it must see that it is meant.
    boolean afterRollback = current.map(SnapshotPointer::getRollback).orElse(false);
    return new Decision(
        Optional.empty(), afterRollback && version < catalog.entries().highestVersion());
  }
}
