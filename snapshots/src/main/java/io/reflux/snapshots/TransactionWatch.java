package io.reflux.snapshots;

import io.reflux.schemas.kafka.KafkaClients;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InterruptException;

/**
 * Asks the coordinator whose a transaction is. A broker that fails while a newer producer overtakes
 * an older one tells the older only of an unknown error; the coordinator knows better.
 */
final class TransactionWatch implements AutoCloseable {
  /** A takeover that has begun ends the older transaction within milliseconds. */
  private static final Duration SETTLING = Duration.ofSeconds(5);

  private static final Duration PAUSE = Duration.ofMillis(50);

  private final Admin admin;
  private final String transactionalId;
  private TransactionDescription ours;

  /**
   * @param transactionalId without the configured prefix
   */
  TransactionWatch(KafkaClients clients, String transactionalId) {
    this.admin = clients.admin();
    this.transactionalId = clients.kafka().prefix() + transactionalId;
  }

  /**
   * Remembers the transaction that this process has open and has written to.
   *
   * @return false if it is open no longer: then another producer has ended it
   */
  boolean begun() {
    ours = describe();
    return ours.state() == TransactionState.ONGOING;
  }

  /**
   * Whether another producer ended the remembered transaction. Waits while it is still open, for a
   * takeover that is under way.
   */
  boolean wasOvertaken() {
    long began = System.nanoTime();
    TransactionDescription now = describe();
    while (isOurs(now) && isOpen(now) && System.nanoTime() - began < SETTLING.toNanos()) {
      LockSupport.parkNanos(PAUSE.toNanos());
      if (Thread.currentThread().isInterrupted()) {
        throw new InterruptException("interrupted");
      }
      now = describe();
    }
    return !isOurs(now) && !isOurCommit(now);
  }

  @Override
  public void close() {
    admin.close();
  }

  private boolean isOurs(TransactionDescription now) {
    return now.producerId() == ours.producerId() && now.producerEpoch() == ours.producerEpoch();
  }

  private static boolean isOpen(TransactionDescription now) {
    return now.state() == TransactionState.ONGOING
        || now.state() == TransactionState.PREPARE_EPOCH_FENCE;
  }

  /** The end of a transaction raises its own producer's epoch by one (KIP-890). */
  private boolean isOurCommit(TransactionDescription now) {
    boolean committed =
        now.state() == TransactionState.PREPARE_COMMIT
            || now.state() == TransactionState.COMPLETE_COMMIT;
    return committed
        && now.producerId() == ours.producerId()
        && now.producerEpoch() == ours.producerEpoch() + 1;
  }

  private TransactionDescription describe() {
    try {
      return admin
          .describeTransactions(List.of(transactionalId))
          .description(transactionalId)
          .get();
    } catch (InterruptedException e) {
      throw new InterruptException(e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof KafkaException kafka) {
        throw kafka;
      }
      throw new KafkaException(e.getCause());
    }
  }
}
