package io.reflux.e2e;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.TopicPartition;

/** Reads whole topics as a {@code read_committed} consumer sees them. */
final class LoopTopics {
  private LoopTopics() {}

  static <T extends SpecificRecord> List<Received<T>> readAll(
      KafkaClients clients, Topic<T> topic) {
    List<Received<T>> records = new ArrayList<>();
    try (Consumer<String, byte[]> consumer = clients.consumer("e2e", null, Map.of());
        TopicReader<T> reader = clients.reader(topic, consumer)) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic.fullName(clients.kafka())).stream()
              .map(p -> new TopicPartition(p.topic(), p.partition()))
              .toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (ends.entrySet().stream().anyMatch(e -> consumer.position(e.getKey()) < e.getValue())) {
        records.addAll(
            reader.poll(
                Duration.ofMillis(200),
                bad -> {
                  throw new AssertionError("unreadable record: " + bad.message());
                }));
      }
    }
    return records;
  }
}
