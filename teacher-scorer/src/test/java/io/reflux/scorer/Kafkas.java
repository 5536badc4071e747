package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.apache.avro.specific.SpecificRecord;

/** Reads what a topic has under read_committed. */
final class Kafkas {
  private static final Duration DEADLINE = Duration.ofSeconds(60);

  private Kafkas() {}

  /**
   * All records of a topic, in the order they came, once there are so many; fails after a minute.
   */
  static <T extends SpecificRecord> List<Received<T>> await(
      KafkaClients clients, Topic<T> topic, int count) {
    return await(clients, topic, records -> records.size() >= count, "records: " + count);
  }

  static <T extends SpecificRecord> List<Received<T>> await(
      KafkaClients clients, Topic<T> topic, Predicate<List<Received<T>>> enough, String what) {
    List<Received<T>> records = new ArrayList<>();
    long deadline = System.nanoTime() + DEADLINE.toNanos();
    try (TopicReader<T> reader =
        clients.reader(topic, clients.consumer("test", null, Map.of())).assignAll()) {
      while (!enough.test(records)) {
        assertThat(System.nanoTime())
            .as("waiting for %s in %s, there are %s", what, topic.name(), records.size())
            .isLessThan(deadline);
        records.addAll(
            reader.poll(
                Duration.ofMillis(100),
                bad -> {
                  throw new AssertionError(bad.toString());
                }));
      }
      // Whatever would double a record has been written before it was seen here.
      records.addAll(reader.poll(Duration.ofMillis(300), bad -> {}));
    }
    return records;
  }
}
