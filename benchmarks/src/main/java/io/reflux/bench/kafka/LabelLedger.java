package io.reflux.bench.kafka;

import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.TopicPartition;

/** Everything that was committed, read again from the start. */
public final class LabelLedger {
  private static final Duration POLL = Duration.ofMillis(200);

  private LabelLedger() {}

  /** Every label of a request. */
  public static List<SoftLabels> labels(KafkaClients clients) {
    return all(clients, Topics.SOFT_LABELS);
  }

  /** Every label of a rollout. */
  public static List<SoftLabels> rolloutLabels(KafkaClients clients) {
    return all(clients, Topics.ROLLOUT_LABELS);
  }

  /** Every dead letter. */
  public static List<DeadLetter> deadLetters(KafkaClients clients) {
    return all(clients, Topics.DEAD_LETTERS);
  }

  private static <T extends SpecificRecord> List<T> all(KafkaClients clients, Topic<T> topic) {
    List<T> values = new ArrayList<>();
    try (TopicReader<T> reader =
        clients.reader(topic, clients.consumer("bench-ledger", null, Map.of())).assignAll()) {
      Consumer<String, byte[]> consumer = reader.consumer();
      // Under read_committed the end is that of the last finished transaction.
      Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
      do {
        List<Received<T>> received =
            reader.poll(
                POLL,
                bad -> {
                  throw new RefluxException("bench: unreadable: " + bad);
                });
        received.forEach(record -> values.add(record.value()));
      } while (ends.entrySet().stream()
          .anyMatch(end -> consumer.position(end.getKey()) < end.getValue()));
    }
    return values;
  }
}
