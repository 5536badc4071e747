package io.reflux.scorer;

import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.scorer.Batcher.Kind;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.LongSupplier;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * What is under way of one topic: for each partition the polls as they came, each with the offset
 * that may be committed once it and all before it are done. Bounded: while it is full the
 * partitions are paused. Belongs to the loop's thread.
 */
final class Intake<T extends SpecificRecord> implements AutoCloseable {
  private final Kind kind;
  private final TopicReader<T> reader;
  private final int maxRecords;
  private final long maxTokens;
  private final LongSupplier nanoTime;
  private final Map<TopicPartition, Deque<Segment>> partitions = new LinkedHashMap<>();
  private final Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
  private List<Work> collecting = new ArrayList<>();
  private boolean partitionsMoved;

  /** Of one partition and one poll. */
  private record Segment(List<Work> works, OffsetAndMetadata position) {
    boolean isDone() {
      return works.stream().allMatch(Work::isDone);
    }
  }

  /**
   * Finished work of the front, and the offsets that go with it.
   *
   * @param group that the offsets are committed for, as it was when this was taken
   */
  record Finished(
      List<Work> works,
      Map<TopicPartition, OffsetAndMetadata> positions,
      ConsumerGroupMetadata group) {}

  /**
   * @param maxRecords under way above which nothing more is fetched
   * @param maxTokens under way above which nothing more is fetched
   */
  Intake(Kind kind, TopicReader<T> reader, int maxRecords, long maxTokens, LongSupplier nanoTime) {
    this.kind = kind;
    this.reader = reader;
    this.maxRecords = maxRecords;
    this.maxTokens = maxTokens;
    this.nanoTime = nanoTime;
    reader.subscribe(
        new ConsumerRebalanceListener() {
          @Override
          public void onPartitionsAssigned(Collection<TopicPartition> assigned) {}

          @Override
          public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
            forget(revoked);
          }
        });
  }

  /**
   * Records that arrived; empty while the intake is full, though its place in the group is kept.
   *
   * @throws io.reflux.schemas.registry.RegistryException when the registry does not answer; nothing
   *     is lost
   */
  List<Work> poll(Duration timeout) {
    Consumer<String, byte[]> consumer = reader.consumer();
    if (isFull()) {
      consumer.pause(consumer.assignment());
    } else {
      consumer.resume(consumer.paused());
    }
    List<Received<T>> received =
        reader.poll(
            timeout, bad -> collecting.add(Work.unreadable(kind, bad, nanoTime.getAsLong())));
    String group = received.isEmpty() ? null : consumer.groupMetadata().groupId();
    for (Received<T> record : received) {
      collecting.add(Work.of(kind, record, group, nanoTime.getAsLong()));
    }
    if (collecting.isEmpty()) {
      return List.of();
    }
    List<Work> works = collecting;
    collecting = new ArrayList<>();
    keep(works);
    return works;
  }

  private void keep(List<Work> works) {
    Map<TopicPartition, List<Work>> byPartition = new LinkedHashMap<>();
    for (Work work : works) {
      byPartition.computeIfAbsent(work.partition(), unused -> new ArrayList<>()).add(work);
    }
    reader
        .positions()
        .forEach(
            (partition, position) -> {
              List<Work> ofPartition = byPartition.getOrDefault(partition, List.of());
              boolean moved = !position.equals(positions.put(partition, position));
              // Without works too: past the markers of transactions, which are no one's work.
              if (moved || !ofPartition.isEmpty()) {
                partitions
                    .computeIfAbsent(partition, unused -> new ArrayDeque<>())
                    .add(new Segment(ofPartition, position));
              }
            });
  }

  /** Whether partitions went to others since this was asked last; their work is dropped. */
  boolean takePartitionsMoved() {
    boolean moved = partitionsMoved;
    partitionsMoved = false;
    return moved;
  }

  private void forget(Collection<TopicPartition> revoked) {
    // Others label what was under way there.
    collecting.removeIf(work -> revoked.contains(work.partition()));
    for (TopicPartition partition : revoked) {
      positions.remove(partition);
      Deque<Segment> segments = partitions.remove(partition);
      if (segments != null) {
        segments.forEach(segment -> segment.works().forEach(Work::drop));
      }
      partitionsMoved = true;
    }
  }

  /** Takes everything out that is done, with all before it done too. */
  Finished takeFinished() {
    List<Work> works = new ArrayList<>();
    Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>();
    partitions.forEach(
        (partition, segments) -> {
          while (!segments.isEmpty() && segments.peekFirst().isDone()) {
            Segment segment = segments.removeFirst();
            works.addAll(segment.works());
            done.put(partition, segment.position());
          }
        });
    return new Finished(works, done, reader.consumer().groupMetadata());
  }

  /** Whether {@link #takeFinished} gives any work. */
  boolean hasFinished() {
    for (Deque<Segment> segments : partitions.values()) {
      for (Segment segment : segments) {
        if (!segment.isDone()) {
          break;
        }
        if (!segment.works().isEmpty()) {
          return true;
        }
      }
    }
    return false;
  }

  /** Forgets what is under way and goes back to what was committed. */
  void rewind() {
    partitions
        .values()
        .forEach(segments -> segments.forEach(segment -> segment.works().forEach(Work::drop)));
    partitions.clear();
    positions.clear();
    collecting.clear();
    partitionsMoved = false;
    reader.seekToCommitted();
  }

  boolean isFull() {
    return size() >= maxRecords || tokens() >= maxTokens;
  }

  /** Records under way, those being committed left out. */
  int size() {
    int size = 0;
    for (Deque<Segment> segments : partitions.values()) {
      for (Segment segment : segments) {
        size += segment.works().size();
      }
    }
    return size;
  }

  private long tokens() {
    long tokens = 0;
    for (Deque<Segment> segments : partitions.values()) {
      for (Segment segment : segments) {
        for (Work work : segment.works()) {
          tokens += work.tokens();
        }
      }
    }
    return tokens;
  }

  /** Kafka timestamp of the first record under way, in milliseconds since the epoch. */
  OptionalLong oldestTimestampMillis() {
    return partitions.values().stream()
        .flatMap(segments -> segments.stream().limit(1))
        .flatMap(segment -> segment.works().stream())
        .filter(work -> work.received() != null)
        .mapToLong(work -> work.received().timestampMillis())
        .min();
  }

  /** Records on the broker that were not fetched yet, as far as is known. */
  long lag() {
    long lag = 0;
    Consumer<String, byte[]> consumer = reader.consumer();
    for (TopicPartition partition : consumer.assignment()) {
      OptionalLong known = consumer.currentLag(partition);
      lag += known.orElse(0);
    }
    return lag;
  }

  /** Whether the group has taken this member in, with or without partitions for it. */
  boolean isInGroup() {
    return reader.consumer().groupMetadata().generationId() >= 0;
  }

  @Override
  public void close() {
    reader.close();
  }
}
