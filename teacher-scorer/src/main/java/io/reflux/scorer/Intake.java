package io.reflux.scorer;

import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * What is under way of one topic: polls as they came, each with the offsets that may be committed
 * once it and all before it are done. Bounded: while it is full the partitions are paused. Belongs
 * to the loop's thread.
 */
final class Intake<T extends SpecificRecord> implements AutoCloseable {
  private final TopicReader<T> reader;
  private final int capacity;
  private final Deque<Poll> polls = new ArrayDeque<>();
  private List<Work> collecting = new ArrayList<>();
  private int size;
  private boolean partitionsLost;

  private record Poll(List<Work> works, Map<TopicPartition, OffsetAndMetadata> positions) {
    boolean isDone() {
      return works.stream().allMatch(Work::isDone);
    }
  }

  /** Finished work at the front, and the offsets that go with it. */
  record Finished(List<Work> works, Map<TopicPartition, OffsetAndMetadata> positions) {}

  /**
   * @param capacity records under way above which nothing more is fetched
   */
  Intake(TopicReader<T> reader, int capacity) {
    this.reader = reader;
    this.capacity = capacity;
    reader.subscribe(
        new ConsumerRebalanceListener() {
          @Override
          public void onPartitionsAssigned(Collection<TopicPartition> assigned) {}

          @Override
          public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
            partitionsLost |= !revoked.isEmpty();
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
    if (size >= capacity) {
      consumer.pause(consumer.assignment());
    } else {
      consumer.resume(consumer.paused());
    }
    List<Received<T>> received =
        reader.poll(timeout, bad -> collecting.add(Work.unreadable(this, bad)));
    if (partitionsLost) {
      // Others label what was under way there; what is left of it here is read again.
      rewind();
      return List.of();
    }
    for (Received<T> record : received) {
      collecting.add(Work.of(this, record));
    }
    if (collecting.isEmpty()) {
      return List.of();
    }
    List<Work> works = collecting;
    collecting = new ArrayList<>();
    polls.add(new Poll(works, reader.positions()));
    size += works.size();
    return works;
  }

  /** Everything at the front that is done; stays until {@link #committed}. */
  Finished finished() {
    List<Work> works = new ArrayList<>();
    Map<TopicPartition, OffsetAndMetadata> positions = Map.of();
    for (Poll poll : polls) {
      if (!poll.isDone()) {
        break;
      }
      works.addAll(poll.works());
      positions = poll.positions();
    }
    return new Finished(works, positions);
  }

  /** Lets go of what {@link #finished} gave. */
  void committed(Finished finished) {
    int left = finished.works().size();
    while (left > 0) {
      int done = polls.removeFirst().works().size();
      left -= done;
      size -= done;
    }
  }

  /** Forgets what is under way and goes back to what was committed. */
  void rewind() {
    polls.forEach(poll -> poll.works().forEach(Work::drop));
    polls.clear();
    collecting.clear();
    size = 0;
    partitionsLost = false;
    reader.seekToCommitted();
  }

  /** Records under way. */
  int size() {
    return size;
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

  ConsumerGroupMetadata group() {
    return reader.consumer().groupMetadata();
  }

  @Override
  public void close() {
    reader.close();
  }
}
