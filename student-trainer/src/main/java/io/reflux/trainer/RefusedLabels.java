package io.reflux.trainer;

import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.DeadLetters;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Undecodable;
import io.reflux.schemas.registry.RegistryException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Labels that cannot be used: counted, named in the log, and sent on as dead letters. */
final class RefusedLabels {
  private static final Logger log = LoggerFactory.getLogger(RefusedLabels.class);

  private final DeadLetters deadLetters;
  private final TrainerMeters meters;
  private final AtomicInteger underWay = new AtomicInteger();

  RefusedLabels(DeadLetters deadLetters, TrainerMeters meters) {
    this.deadLetters = deadLetters;
    this.meters = meters;
  }

  void refuse(Received<SoftLabels> record, Refusal refusal) {
    meters.refused(refusal.reason());
    log.warn("Label {} refused: {}", record.coordinates(), refusal.message());
    try {
      track(record.coordinates(), deadLetters.send(record, refusal.reason(), refusal.message(), 1));
    } catch (RegistryException e) {
      log.error("Dead letter of {} not sent: {}", record.coordinates(), e.getMessage());
    }
  }

  void refuse(Undecodable record) {
    meters.refused(record.reason());
    log.warn("Label refused: {}", record);
    track(record.coordinates(), deadLetters.send(record, 1));
  }

  /** Whether all letters have arrived, or are given up. */
  boolean areSent() {
    return underWay.get() == 0;
  }

  private void track(String coordinates, CompletableFuture<RecordMetadata> letter) {
    underWay.incrementAndGet();
    var unused =
        letter.whenComplete(
            (sent, error) -> {
              underWay.decrementAndGet();
              if (error != null) {
                log.error("Dead letter of {} not sent: {}", coordinates, error.getMessage());
              }
            });
  }
}
