package io.reflux.serving;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.function.BiConsumer;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Copies the snapshots of one loop to another, as somebody may who stands between them. */
final class Copies implements AutoCloseable {
  /** In the order in which a publisher writes them. */
  private static final List<Topic<?>> ORDER =
      List.of(Topics.SNAPSHOT_CHUNKS, Topics.SNAPSHOTS, Topics.SNAPSHOT_POINTERS);

  private final KafkaClients from;
  private final KafkaClients to;
  private final Producer<String, byte[]> producer;
  private final Map<Topic<?>, Integer> copied = new HashMap<>();

  /** What becomes of a record. */
  interface Change {
    /** The value to write; null leaves the record out. */
    byte[] of(Topic<?> topic, ConsumerRecord<String, byte[]> record);
  }

  Copies(KafkaClients from, KafkaClients to) {
    this.from = from;
    this.to = to;
    this.producer = to.producer("copies");
  }

  /** Copies what is new since the last time. */
  void copy(Change change) {
    for (Topic<?> topic : ORDER) {
      List<ConsumerRecord<String, byte[]>> records = records(topic);
      for (ConsumerRecord<String, byte[]> record :
          records.subList(copied.getOrDefault(topic, 0), records.size())) {
        byte[] value = change.of(topic, record);
        if (value != null) {
          send(topic, record.key(), value);
        }
      }
      copied.put(topic, records.size());
    }
  }

  /** Everything that was there to copy. */
  void forEach(BiConsumer<Topic<?>, ConsumerRecord<String, byte[]>> each) {
    for (Topic<?> topic : ORDER) {
      records(topic).forEach(record -> each.accept(topic, record));
    }
  }

  void send(Topic<?> topic, String key, byte[] value) {
    try {
      producer.send(new ProducerRecord<>(topic.fullName(to.kafka()), key, value)).get();
    } catch (InterruptedException | ExecutionException e) {
      throw new AssertionError(e);
    }
  }

  private List<ConsumerRecord<String, byte[]>> records(Topic<?> topic) {
    List<ConsumerRecord<String, byte[]>> records = new ArrayList<>();
    try (Consumer<String, byte[]> consumer = from.consumer("copies", null, Map.of())) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic.fullName(from.kafka())).stream()
              .map(info -> new TopicPartition(info.topic(), info.partition()))
              .toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (ends.entrySet().stream()
          .anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
        consumer.poll(Duration.ofMillis(20)).forEach(records::add);
      }
    }
    // Partitions come in any order, and what is new has to be the last of them.
    records.sort((a, b) -> Long.compare(a.timestamp(), b.timestamp()));
    return records;
  }

  @Override
  public void close() {
    producer.close();
  }
}
