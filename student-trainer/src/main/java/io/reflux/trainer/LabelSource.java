package io.reflux.trainer;

import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Undecodable;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All partitions of one topic of labels, merged by the records' time, from stored positions on. The
 * order of records that lie in Kafka is a function of the records: which fetch brought them, and
 * when, is not part of it. Positions are the caller's to keep: nothing is committed to Kafka, whose
 * commits could not be one with a checkpoint. One thread at a time.
 */
final class LabelSource implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(LabelSource.class);
  private static final Duration WAIT_FOR_TOPIC = Duration.ofSeconds(10);
  private static final Duration ASK_AGAIN = Duration.ofMillis(100);

  /** Read ahead in a partition, so that one with much does not fill the heap while others wait. */
  private static final int MOST_WAITING = 512;

  private static final long MOST_WAITING_BYTES = 4L << 20;

  private static final Comparator<Label> ORDER =
      Comparator.comparingLong(Label::timestampMillis)
          .thenComparing(Label::partition)
          .thenComparingLong(Label::offset);

  private final TopicReader<SoftLabels> reader;
  private final String topic;
  private final SortedMap<String, Partition> partitions = new TreeMap<>();

  private static final class Partition {
    private final TopicPartition id;
    private final Deque<Label> waiting = new ArrayDeque<>();
    private final long end;
    private Position taken;
    private long waitingBytes;

    /**
     * @param end where it ended when it was opened
     */
    Partition(TopicPartition id, Position taken, long end) {
      this.id = id;
      this.taken = taken;
      this.end = end;
    }

    boolean isFull() {
      return waiting.size() >= MOST_WAITING || waitingBytes >= MOST_WAITING_BYTES;
    }
  }

  /**
   * @param stored by {@code topic-partition}; partitions without one start at their beginning
   */
  LabelSource(
      KafkaClients clients,
      Topic<SoftLabels> topic,
      String clientId,
      Map<String, Position> stored) {
    this.topic = topic.fullName(clients.kafka());
    this.reader = clients.reader(topic, clients.consumer(clientId, null, Map.of()));
    boolean assigned = false;
    try {
      requireTopic();
      reader.assignAll();
      Set<TopicPartition> assignment = reader.consumer().assignment();
      Map<TopicPartition, Long> ends = reader.consumer().endOffsets(assignment);
      Map<TopicPartition, Long> beginnings = reader.consumer().beginningOffsets(assignment);
      for (TopicPartition id : assignment) {
        Position position = start(id, stored.get(id.toString()), beginnings.get(id), ends.get(id));
        reader.consumer().seek(id, position.readFrom());
        partitions.put(id.toString(), new Partition(id, position, ends.get(id)));
      }
      assigned = true;
    } finally {
      if (!assigned) {
        reader.close();
      }
    }
  }

  private static Position start(TopicPartition id, Position stored, long beginning, long end) {
    if (stored == null) {
      return new Position(beginning, beginning);
    }
    if (stored.next() > end) {
      log.error(
          "Labels {} end at offset {} (expected: {} or more, as the checkpoint has it): Kafka has lost some, or it is another Kafka; going on from the end",
          id,
          end,
          stored.next());
      return new Position(end, end);
    }
    if (stored.next() < beginning) {
      log.error(
          "Labels {} from offset {} to {} are no longer in Kafka and are not trained on",
          id,
          stored.next(),
          beginning);
    }
    return stored;
  }

  /** A topic that was made a moment ago may not have reached the broker that is asked. */
  private void requireTopic() {
    long end = System.nanoTime() + WAIT_FOR_TOPIC.toNanos();
    boolean found = false;
    while (!found) {
      List<PartitionInfo> known = reader.consumer().partitionsFor(topic);
      found =
          known != null
              && !known.isEmpty()
              && known.stream().allMatch(partition -> partition.leader() != null);
      if (!found && System.nanoTime() > end) {
        throw new RefluxException(
            "Topic %s: not there (expected: created before, see reflux topics create)"
                .formatted(topic));
      }
      if (!found) {
        LockSupport.parkNanos(ASK_AGAIN.toNanos());
      }
    }
  }

  /**
   * Fetches what there is.
   *
   * @param timeout to wait if there is nothing yet
   * @throws io.reflux.schemas.registry.RegistryException when the registry does not answer; nothing
   *     is lost
   */
  void fetch(Duration timeout) {
    Map<TopicPartition, OffsetAndMetadata> before = reader.positions();
    Map<String, List<Label>> arrived = new HashMap<>();
    List<Undecodable> unreadable = new ArrayList<>();
    try {
      pauseFull();
      for (Received<SoftLabels> record : reader.poll(timeout, unreadable::add)) {
        String partition = record.topicPartition().toString();
        add(Label.of(record, readFrom(partition, before)), arrived);
      }
    } finally {
      for (Undecodable record : unreadable) {
        String partition = record.topic() + "-" + record.partition();
        add(Label.of(record, readFrom(partition, before)), arrived);
      }
      arrived.forEach(this::enqueue);
    }
  }

  private static void add(Label label, Map<String, List<Label>> arrived) {
    arrived.computeIfAbsent(label.partition(), name -> new ArrayList<>()).add(label);
  }

  private void enqueue(String name, List<Label> labels) {
    Partition partition = partitions.get(name);
    labels.sort(Comparator.comparingLong(Label::offset));
    for (Label label : labels) {
      // Before where it resumed it is read again only for pieces of what lies behind. What is given
      // up for want of pieces has the place of its first, and is told of all the same.
      if (label.offset() >= partition.taken.next() || label.received() == null) {
        partition.waiting.add(label);
        partition.waitingBytes += label.bytes();
      }
    }
  }

  private void pauseFull() {
    Set<TopicPartition> full = new HashSet<>();
    Set<TopicPartition> others = new HashSet<>();
    for (Partition partition : partitions.values()) {
      (partition.isFull() ? full : others).add(partition.id);
    }
    reader.consumer().pause(full);
    reader.consumer().resume(others);
  }

  /** Whether a record is known to be there that must be waited for: it may come first. */
  boolean isBehind() {
    return partitions.values().stream().anyMatch(this::isBehind);
  }

  /** Whether a record of one partition is known to be there, and was not fetched. */
  boolean isBehind(String partition) {
    return isBehind(partitions.get(partition));
  }

  private boolean isBehind(Partition partition) {
    if (!partition.waiting.isEmpty()) {
      return false;
    }
    if (reader.holdsFetched()) {
      return true;
    }
    long position = reader.consumer().position(partition.id);
    long end = position + reader.consumer().currentLag(partition.id).orElse(0);
    return position < Math.max(end, partition.end);
  }

  /** The next of those that were fetched; its position counts as taken in. */
  Optional<Label> next() {
    Optional<Label> first =
        partitions.values().stream()
            .map(partition -> partition.waiting.peek())
            .filter(label -> label != null)
            .min(ORDER);
    first.ifPresent(label -> take(partitions.get(label.partition())));
    return first;
  }

  /** Whether the partition is one of this topic's. */
  boolean has(String partition) {
    return partitions.containsKey(partition);
  }

  /** The next of those that were fetched of one partition, which stays there. */
  Optional<Label> peek(String partition) {
    return Optional.ofNullable(partitions.get(partition).waiting.peek());
  }

  /** What {@link #peek} shows; its position counts as taken in. */
  Label nextOf(String partition) {
    return take(partitions.get(partition));
  }

  /** Offset after the last that was taken in of a partition. */
  long nextOffset(String partition) {
    return partitions.get(partition).taken.next();
  }

  private Label take(Partition partition) {
    Label label = partition.waiting.remove();
    partition.waitingBytes -= label.bytes();
    // A record in pieces that was given up has the place of its first.
    long next = Math.max(partition.taken.next(), label.offset() + 1);
    partition.taken = new Position(next, label.readFrom());
    return label;
  }

  /** How far each partition was taken in. */
  Map<String, Position> positions() {
    Map<TopicPartition, OffsetAndMetadata> fetchedTo = reader.positions();
    Map<String, Position> positions = new TreeMap<>();
    partitions.forEach(
        (name, partition) -> {
          long readFrom =
              partition.waiting.isEmpty()
                  ? readFrom(name, fetchedTo)
                  : partition.waiting.peek().readFrom();
          positions.put(name, new Position(partition.taken.next(), readFrom));
        });
    return positions;
  }

  private long readFrom(String name, Map<TopicPartition, OffsetAndMetadata> fetchedTo) {
    Partition partition = partitions.get(name);
    OffsetAndMetadata safe = fetchedTo.get(partition.id);
    // Before the first fetch it stands where it was sought to.
    return safe == null ? partition.taken.readFrom() : safe.offset();
  }

  /** Records that wait, here or in Kafka, as far as the consumer knows. */
  long lag() {
    long lag = 0;
    for (Partition partition : partitions.values()) {
      lag += partition.waiting.size();
      lag += reader.consumer().currentLag(partition.id).orElse(0);
    }
    return lag;
  }

  @Override
  public void close() {
    reader.close();
  }
}
