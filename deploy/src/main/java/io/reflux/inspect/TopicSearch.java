package io.reflux.inspect;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Undecodable;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/**
 * Looks for records on one topic, as it is when the search starts: what is not committed is not
 * seen, and what comes later is not waited for. Belongs to one thread.
 */
public final class TopicSearch<T extends SpecificRecord> implements AutoCloseable {
  private static final Duration POLL = Duration.ofMillis(200);
  private static final Duration PATIENCE = Duration.ofSeconds(15);

  /** A record in pieces has the offset of its last one; the others are not far before it. */
  private static final long PIECES = 256;

  private final TopicReader<T> reader;
  private final String topic;
  private final long most;
  private final List<TopicPartition> partitions;
  private long lookedAt;
  private long unreadable;
  private boolean everything = true;

  /**
   * Opens the topic.
   *
   * @param most newest offsets that a search goes back, in all partitions together
   * @throws RefluxException one line, if the topic is not there
   */
  public TopicSearch(KafkaClients clients, Topic<T> topic, long most) {
    this.topic = topic.fullName(clients.kafka());
    this.most = most;
    this.reader = clients.reader(topic, clients.consumer("inspect", null, Map.of()));
    boolean there = false;
    try {
      List<PartitionInfo> known = reader.consumer().partitionsFor(this.topic);
      if (known == null || known.isEmpty()) {
        throw new RefluxException(
            "Topic %s: not there (expected: created before, see reflux topics create)"
                .formatted(this.topic));
      }
      partitions =
          known.stream()
              .map(partition -> new TopicPartition(partition.topic(), partition.partition()))
              .sorted(Comparator.comparingInt(TopicPartition::partition))
              .toList();
      there = true;
    } finally {
      if (!there) {
        reader.close();
      }
    }
  }

  /** Offsets of one partition to read, the last not included. */
  private record Span(long from, long to) {}

  /** All that satisfy the condition, in the order of partitions and offsets. */
  public List<Received<T>> matching(Predicate<T> condition) {
    List<Received<T>> found = new ArrayList<>();
    scan(
        newest((most + partitions.size() - 1) / partitions.size()),
        record -> {
          if (condition.test(record.value())) {
            found.add(record);
          }
        });
    found.sort(Comparator.comparingInt(Received<T>::partition).thenComparingLong(Received::offset));
    return found;
  }

  /** The last by the given order, oldest first. */
  public List<Received<T>> last(int count, Comparator<T> order) {
    long share = (most + partitions.size() - 1) / partitions.size();
    // Markers of transactions take offsets too, about one a record where there is little traffic.
    long depth = Math.min(share, 2L * count + 16);
    while (true) {
      Map<TopicPartition, Span> spans = newest(depth);
      Map<TopicPartition, Integer> counts = new HashMap<>();
      List<Received<T>> found = new ArrayList<>();
      lookedAt = 0;
      unreadable = 0;
      scan(
          spans,
          record -> {
            counts.merge(record.topicPartition(), 1, Integer::sum);
            found.add(record);
          });
      boolean enough =
          spans.keySet().stream().allMatch(p -> counts.getOrDefault(p, 0) >= count) || everything;
      if (enough || depth >= share) {
        found.sort(Comparator.comparing(Received::value, order));
        return found.subList(Math.max(0, found.size() - count), found.size());
      }
      depth = Math.min(share, depth * 4);
    }
  }

  /**
   * The record at a place.
   *
   * @throws RefluxException one line that says what is there instead
   */
  public Received<T> at(int partition, long offset) {
    if (partition < 0 || partition >= partitions.size()) {
      throw new RefluxException(
          "partition: %d (expected: 0 to %d, as %s has)"
              .formatted(partition, partitions.size() - 1, topic));
    }
    TopicPartition wanted = partitions.get(partition);
    long begin = reader.consumer().beginningOffsets(List.of(wanted)).get(wanted);
    long end = reader.consumer().endOffsets(List.of(wanted)).get(wanted);
    if (offset < begin || offset >= end) {
      throw new RefluxException(
          "offset: %d (expected: %s)"
              .formatted(
                  offset,
                  begin == end
                      ? "a record in " + wanted + ", which has none"
                      : "%d to %d, as %s has".formatted(begin, end - 1, wanted)));
    }
    List<Received<T>> found = new ArrayList<>();
    List<Undecodable> refused = new ArrayList<>();
    scan(
        Map.of(wanted, new Span(Math.max(begin, offset - PIECES), offset + 1)),
        record -> {
          if (record.offset() == offset) {
            found.add(record);
          }
        },
        refused::add);
    for (Undecodable record : refused) {
      if (found.isEmpty() && record.offset() == offset) {
        throw new RefluxException(wanted + "@" + offset + ": " + record.message());
      }
    }
    if (found.isEmpty()) {
      throw new RefluxException(
          "%s@%d: no whole record (expected: one; a transaction's marker or a part of a record is not)"
              .formatted(wanted, offset));
    }
    return found.get(0);
  }

  /** What was searched, for the message that nothing was found. */
  public String extent() {
    return String.format(
        Locale.ROOT,
        "%s, %,d %s looked at, %s%s",
        topic,
        lookedAt,
        lookedAt == 1 ? "record" : "records",
        everything ? "all there are" : "the newest",
        unreadable == 0 ? "" : String.format(Locale.ROOT, ", %,d more unreadable", unreadable));
  }

  @Override
  public void close() {
    reader.close();
  }

  private Map<TopicPartition, Span> newest(long depth) {
    Map<TopicPartition, Long> begins = reader.consumer().beginningOffsets(partitions);
    // Of a consumer that reads what is committed, the end is that of what is committed.
    Map<TopicPartition, Long> ends = reader.consumer().endOffsets(partitions);
    Map<TopicPartition, Span> spans = new HashMap<>();
    everything = true;
    for (TopicPartition partition : partitions) {
      long from = Math.max(begins.get(partition), ends.get(partition) - depth);
      everything &= from == begins.get(partition);
      spans.put(partition, new Span(from, ends.get(partition)));
    }
    return spans;
  }

  private void scan(Map<TopicPartition, Span> spans, Consumer<Received<T>> each) {
    scan(spans, each, refused -> unreadable++);
  }

  private void scan(
      Map<TopicPartition, Span> spans,
      Consumer<Received<T>> each,
      Consumer<Undecodable> undecodable) {
    reader.consumer().assign(spans.keySet());
    // Forgets what an earlier scan left, and then goes where this one starts.
    reader.seekToBeginning();
    spans.forEach((partition, span) -> reader.consumer().seek(partition, span.from()));
    long progress = System.nanoTime();
    long before = left(spans);
    boolean again = true;
    while (again) {
      // Once more at the end: the reader may hold what it could not decode at once.
      again = before > 0;
      for (Received<T> record : reader.poll(again ? POLL : Duration.ZERO, undecodable)) {
        if (record.offset() < spans.get(record.topicPartition()).to()) {
          lookedAt++;
          each.accept(record);
        }
      }
      long left = left(spans);
      if (left < before) {
        before = left;
        progress = System.nanoTime();
      } else if (again && System.nanoTime() - progress > PATIENCE.toNanos()) {
        throw new RefluxException(
            "Topic %s: nothing came for %d s with %d offsets to go (expected: a broker that answers)"
                .formatted(topic, PATIENCE.toSeconds(), left));
      }
    }
  }

  private long left(Map<TopicPartition, Span> spans) {
    long left = 0;
    for (Map.Entry<TopicPartition, Span> span : spans.entrySet()) {
      left += Math.max(0, span.getValue().to() - reader.consumer().position(span.getKey()));
    }
    return left;
  }
}
