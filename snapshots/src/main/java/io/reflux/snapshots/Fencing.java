package io.reflux.snapshots;

import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.InvalidTxnStateException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.UnknownServerException;
import org.apache.kafka.common.protocol.Errors;

/** Tells whether a transaction failed because another producer has taken over its id. */
final class Fencing {
  private Fencing() {}

  /** The client wraps the first error in later ones, and reports a race in more than one way. */
  static boolean causedBy(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof ProducerFencedException
          || cause instanceof InvalidProducerEpochException
          || cause instanceof InvalidTxnStateException) {
        return true;
      }
    }
    return false;
  }

  /**
   * Whether the coordinator answered "unexpected error", as one that two producers race for has
   * been seen to do: 4.3.1 fails to end a transaction that it is just about to fence. The client
   * passes that on as a message alone. What came of the transaction is not known.
   */
  static boolean isUnexpected(KafkaException failure) {
    return failure instanceof UnknownServerException
        || String.valueOf(failure.getMessage()).contains(Errors.UNKNOWN_SERVER_ERROR.message());
  }
}
