package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotException.Kind;
import java.time.Clock;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Optional;
import java.util.concurrent.Future;
import java.util.function.Function;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Moves the pointers of channels. Each move is a transaction under the channel's own id: two that
 * meet fence each other, and the loser looks again before it tries again, so none is decided on an
 * old reading. Each is signed where this process has a key, and later than the one before by its
 * own time, whatever the clocks say.
 */
public final class SnapshotPointers {
  private static final Logger log = LoggerFactory.getLogger(SnapshotPointers.class);
  private static final int ATTEMPTS = 5;

  private final SnapshotAccess access;
  private final KafkaClients clients;
  private final Clock clock;
  private final SnapshotCatalog catalog;

  public SnapshotPointers(SnapshotAccess access) {
    this(access, Clock.systemUTC());
  }

  /** Signs nothing. */
  public SnapshotPointers(KafkaClients clients) {
    this(SnapshotAccess.unsigned(clients));
  }

  SnapshotPointers(SnapshotAccess access, Clock clock) {
    this.access = access;
    this.clients = access.clients();
    this.clock = clock;
    this.catalog = new SnapshotCatalog(access);
  }

  /**
   * Moves a channel to a published version that is not older than the one it serves. Where it
   * serves that version already, nothing is written. A pinned channel moves too, and stays pinned.
   *
   * @param reason for people
   * @return the pointer as it stands now
   * @throws SnapshotException of kind BACKWARDS if the version is older, UNTRUSTED if its manifest
   *     is not signed as asked for
   */
  public SnapshotPointer promote(String channel, long version, String reason) {
    return move(channel, catalog.require(version), reason, Move.PROMOTE);
  }

  /**
   * Moves a channel back, on record. Also repairs a channel whose newest pointer cannot be read or
   * believed. A pinned channel stays pinned.
   *
   * @param reason for people
   * @return the pointer as it stands now
   * @throws SnapshotException if the channel has no pointer, or the version is not older than its
   */
  public SnapshotPointer rollback(String channel, long version, String reason) {
    return move(channel, catalog.require(version), reason, Move.ROLLBACK);
  }

  /**
   * Holds a channel where it is: new versions are published without moving it. Nothing is written
   * where it is pinned already.
   *
   * @throws SnapshotException if the channel has no pointer
   */
  public SnapshotPointer pin(String channel, String reason) {
    return hold(channel, true, reason);
  }

  /** Lets a channel follow what is published again, from the next version on. */
  public SnapshotPointer unpin(String channel, String reason) {
    return hold(channel, false, reason);
  }

  /**
   * Like promote, but leaves a channel alone that is pinned, or that something newer has reached
   * already.
   */
  SnapshotPointer forward(String channel, SnapshotCatalog.Entry entry, String reason) {
    SnapshotPointer pointer = move(channel, entry, reason, Move.FORWARD);
    if (pointer.getPinned() && pointer.getVersion() != entry.manifest().getVersion()) {
      log.warn(
          "Snapshot {} is published, and channel {} stays pinned to version {}: {}",
          entry.manifest().getVersion(),
          channel,
          pointer.getVersion(),
          pointer.getReason());
    }
    return pointer;
  }

  private enum Move {
    PROMOTE,
    FORWARD,
    ROLLBACK
  }

  private SnapshotPointer move(
      String channel, SnapshotCatalog.Entry entry, String reason, Move move) {
    access.verify(entry.manifest());
    long version = entry.manifest().getVersion();
    return write(
        channel,
        fold -> {
          Decision decision = decide(channel, fold, version, move);
          if (decision.stays()) {
            return Optional.empty();
          }
          return Optional.of(
              SnapshotPointer.newBuilder()
                  .setVersion(version)
                  .setManifestSha256(entry.sha256())
                  .setRollback(decision.rollback())
                  .setReason(reason)
                  .setPrevious(fold.last().map(SnapshotPointer::getVersion).orElse(null))
                  .setPinned(fold.last().map(SnapshotPointer::getPinned).orElse(false)));
        });
  }

  private SnapshotPointer hold(String channel, boolean pinned, String reason) {
    return write(
        channel,
        fold -> {
          raiseIfUnreadable(fold);
          SnapshotPointer current =
              fold.current()
                  .orElseThrow(
                      () ->
                          new SnapshotException(
                              Kind.NOT_FOUND,
                              "channel "
                                  + channel
                                  + ": no pointer (expected: one, to be held where it is)"));
          if (current.getPinned() == pinned) {
            return Optional.empty();
          }
          return Optional.of(
              SnapshotPointer.newBuilder(current).setPinned(pinned).setReason(reason));
        });
  }

  /**
   * Reads, decides and writes as one.
   *
   * @param next what to write, but for channel, time and signature; empty leaves it all as it is
   */
  private SnapshotPointer write(
      String channel, Function<PointerFold, Optional<SnapshotPointer.Builder>> next) {
    if (channel.isBlank()) {
      throw new SnapshotException(
          Kind.NOT_FOUND, "channel: '" + channel + "' (expected: a name such as stable)");
    }
    access.requireKeyIfTrusting();
    String topic = Topics.SNAPSHOT_POINTERS.fullName(clients.kafka());
    KafkaException last = null;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      try (Producer<String, byte[]> producer =
          clients.transactionalProducer("snapshot-pointers", "snapshot-pointer-" + channel)) {
        // Before the pointer is read: whoever read it earlier can no longer commit.
        producer.initTransactions();
        PointerFold fold = catalog.fold(channel);
        Optional<SnapshotPointer.Builder> wanted = next.apply(fold);
        if (wanted.isEmpty()) {
          return fold.current().orElseThrow();
        }
        requireKeyIfSigned(channel, fold);
        SnapshotPointer pointer =
            wanted
                .get()
                .setChannel(channel)
                .setMovedAt(after(fold.last()))
                .clearKeyId()
                .clearSignature()
                .build();
        access.sign(pointer);
        byte[] encoded = clients.codec().encode(topic, pointer);
        producer.beginTransaction();
        Future<RecordMetadata> sent = producer.send(new ProducerRecord<>(topic, channel, encoded));
        producer.commitTransaction();
        TopicScan.awaitVisible(clients, ChunkSender.await(sent));
        return pointer;
      } catch (KafkaException e) {
        if (Fencing.causedBy(e) || Fencing.isUnexpected(e)) {
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

  /** One unsigned move would stop every reader of a channel whose moves are signed. */
  private void requireKeyIfSigned(String channel, PointerFold fold) {
    if (access.signingKey().isEmpty()
        && fold.last().filter(pointer -> !pointer.getKeyId().isEmpty()).isPresent()) {
      throw new SnapshotException(
          Kind.UNTRUSTED,
          "reflux.snapshots.signing-key: unset (expected: a private key, for the moves of channel "
              + channel
              + " are signed)");
    }
  }

  /** Readers that ask for signatures tell a replayed record by its time. */
  private Instant after(Optional<SnapshotPointer> before) {
    Instant now = clock.instant().truncatedTo(ChronoUnit.MILLIS);
    Instant least = before.map(pointer -> pointer.getMovedAt().plusMillis(1)).orElse(now);
    return now.isBefore(least) ? least : now;
  }

  private static void raiseIfUnreadable(PointerFold fold) {
    if (fold.unreadable().isPresent()) {
      throw fold.unreadable().get();
    }
  }

  /**
   * @param stays whether the present pointer shall stay
   */
  private record Decision(boolean stays, boolean rollback) {}

  private Decision decide(String channel, PointerFold fold, long version, Move move) {
    if (fold.unreadable().isPresent() && move == Move.ROLLBACK) {
      return new Decision(false, true);
    }
    raiseIfUnreadable(fold);
    Optional<SnapshotPointer> current = fold.current();
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
      return new Decision(false, true);
    }
    boolean pinned = current.map(SnapshotPointer::getPinned).orElse(false);
    if (version == served || (move == Move.FORWARD && (pinned || version < served))) {
      return new Decision(true, false);
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
    return new Decision(false, afterRollback && version < catalog.entries().highestVersion());
  }
}
