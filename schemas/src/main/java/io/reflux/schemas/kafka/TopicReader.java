package io.reflux.schemas.kafka;

import io.reflux.schemas.registry.DecodeException;
import io.reflux.schemas.registry.RecordCodec;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.UUID;
import java.util.function.LongSupplier;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidGroupIdException;
import org.apache.kafka.common.header.Headers;

/**
 * Reads records of one type, and puts those together that came in pieces. Belongs to one thread, as
 * the consumer does.
 *
 * <p>Records come in the order of their offsets within a partition; one in pieces has the offset of
 * its last piece. Nothing is committed: the caller commits {@link #positions} when it has dealt
 * with everything handed out, with its outputs if it writes in transactions.
 *
 * <p>Subscribe or assign through this class; a consumer that the caller subscribed works too, but
 * then records in pieces may be reported as incomplete after a rebalance.
 */
public final class TopicReader<T extends SpecificRecord> implements AutoCloseable {
  /** Longer than any producer tries to deliver a piece (two minutes). */
  private static final Duration GROUP_PATIENCE = Duration.ofMinutes(5);

  private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(5);

  private final Topic<T> topic;
  private final String topicName;
  private final RecordCodec codec;
  private final Consumer<String, byte[]> consumer;
  private final long maxPendingBytes;
  private final LongSupplier nanoTime;
  private final Map<TopicPartition, PartitionAssembly> partitions = new HashMap<>();
  private final Map<TopicPartition, Long> fetchedTo = new HashMap<>();
  private final Deque<ConsumerRecord<String, byte[]>> fetched = new ArrayDeque<>();
  private long pendingBytes;
  private long lastFetchNanos;

  TopicReader(
      Topic<T> topic, String topicName, RecordCodec codec, Consumer<String, byte[]> consumer) {
    this(topic, topicName, codec, consumer, TopicWriter.MAX_VALUE_BYTES, System::nanoTime);
  }

  /**
   * @param maxPendingBytes most bytes held of records whose pieces have not all come
   */
  TopicReader(
      Topic<T> topic,
      String topicName,
      RecordCodec codec,
      Consumer<String, byte[]> consumer,
      long maxPendingBytes,
      LongSupplier nanoTime) {
    this.topic = topic;
    this.topicName = topicName;
    this.codec = codec;
    this.consumer = consumer;
    this.maxPendingBytes = maxPendingBytes;
    this.nanoTime = nanoTime;
    this.lastFetchNanos = nanoTime.getAsLong();
  }

  /** The consumer behind it. */
  public Consumer<String, byte[]> consumer() {
    return consumer;
  }

  /** Joins the consumer's group for this topic. */
  public TopicReader<T> subscribe() {
    return subscribe(new NothingToDo());
  }

  /** Joins the consumer's group for this topic, and tells the listener of changes. */
  public TopicReader<T> subscribe(ConsumerRebalanceListener listener) {
    consumer.subscribe(List.of(topicName), new Forgetting(listener));
    return this;
  }

  /** Takes every partition of the topic, without a group, from the beginning. */
  public TopicReader<T> assignAll() {
    List<PartitionInfo> known = consumer.partitionsFor(topicName);
    if (known == null || known.isEmpty()) {
      throw new RefluxException(
          "Topic "
              + topicName
              + ": not there (expected: created before, see reflux topics create)");
    }
    List<TopicPartition> all =
        known.stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
    consumer.assign(all);
    seekToBeginning();
    return this;
  }

  /** Reads from the first record there is, in every assigned partition. */
  public void seekToBeginning() {
    forget(consumer.assignment());
    consumer.seekToBeginning(consumer.assignment());
  }

  /** Passes over everything there is now; returns when the end is known. */
  public void seekToEndBlocking() {
    Set<TopicPartition> assignment = consumer.assignment();
    forget(assignment);
    consumer.seekToEnd(assignment);
    assignment.forEach(consumer::position);
  }

  /**
   * Goes back to what the group has committed, or to the beginning where it has nothing: what was
   * handed out since comes again. For use after an aborted transaction.
   */
  public void seekToCommitted() {
    Set<TopicPartition> assignment = consumer.assignment();
    Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(assignment);
    forget(assignment);
    for (TopicPartition partition : assignment) {
      OffsetAndMetadata commit = committed.get(partition);
      if (commit == null) {
        consumer.seekToBeginning(List.of(partition));
      } else {
        consumer.seek(partition, commit.offset());
      }
    }
  }

  /**
   * Records that arrived, decoded; empty when none did within the timeout.
   *
   * @param undecodable told of each record that cannot be read, in its turn
   * @throws RegistryException when the registry does not answer; nothing is lost, the next call
   *     goes on where this one stopped
   * @throws KafkaException when the consumer or the callback does; the same holds
   */
  public List<Received<T>> poll(
      Duration timeout, java.util.function.Consumer<Undecodable> undecodable) {
    forgetMoved();
    if (fetched.isEmpty()) {
      fetch(timeout);
    }
    List<Received<T>> received = new ArrayList<>(fetched.size());
    try {
      recallPartitions();
      giveUpLateGroups(undecodable);
      while (!fetched.isEmpty()) {
        take(fetched.peekFirst(), received, undecodable);
        fetched.removeFirst();
      }
    } catch (RegistryException | KafkaException e) {
      // What was decoded goes out first; the failing record is met again by the next call.
      if (received.isEmpty()) {
        throw e;
      }
    }
    return received;
  }

  /**
   * Offsets that may be committed: everything before them was handed out by {@link #poll}, with
   * metadata for what was handed out beyond them. Partitions that gave nothing yet are missing.
   */
  public Map<TopicPartition, OffsetAndMetadata> positions() {
    Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
    Set<TopicPartition> assignment = consumer.assignment();
    partitions.forEach(
        (partition, assembly) -> {
          if (assignment.contains(partition)) {
            // Beyond the last record there may be transaction markers, which are no one's work.
            long end =
                hasFetched(partition)
                    ? assembly.next()
                    : Math.max(assembly.next(), consumer.position(partition));
            positions.put(partition, assembly.safePosition(end));
          }
        });
    return positions;
  }

  /**
   * Whether something was fetched that {@link #poll} has not handed out, as when the registry did
   * not answer.
   */
  public boolean holdsFetched() {
    return !fetched.isEmpty();
  }

  @Override
  public void close() {
    consumer.close(CloseOptions.timeout(CLOSE_TIMEOUT));
  }

  private boolean hasFetched(TopicPartition partition) {
    return fetched.stream().anyMatch(record -> partitionOf(record).equals(partition));
  }

  /** Lets go of fetched records whose partition was sought elsewhere or taken away meanwhile. */
  private void forgetMoved() {
    if (fetched.isEmpty()) {
      return;
    }
    Set<TopicPartition> moved = new HashSet<>();
    Set<TopicPartition> assignment = consumer.assignment();
    fetchedTo.forEach(
        (partition, position) -> {
          if (!assignment.contains(partition) || consumer.position(partition) != position) {
            moved.add(partition);
          }
        });
    forget(moved);
  }

  private void fetch(Duration timeout) {
    ConsumerRecords<String, byte[]> records = consumer.poll(timeout);
    long now = nanoTime.getAsLong();
    // A caller that was away for long says nothing about the writers.
    Duration counted = Duration.ofNanos(now - lastFetchNanos);
    Duration most = timeout.plusSeconds(1);
    if (counted.compareTo(most) > 0) {
      counted = most;
    }
    lastFetchNanos = now;
    Set<TopicPartition> gone = new HashSet<>(partitions.keySet());
    gone.removeAll(consumer.assignment());
    forget(gone);
    fetchedTo.clear();
    for (TopicPartition partition : records.partitions()) {
      List<ConsumerRecord<String, byte[]>> ofPartition = records.records(partition);
      PartitionAssembly assembly = partitions.get(partition);
      if (assembly != null && ofPartition.get(0).offset() < assembly.next()) {
        forget(List.of(partition));
      }
      fetched.addAll(ofPartition);
      fetchedTo.put(partition, consumer.position(partition));
    }
    letTimePass(records.partitions(), counted);
  }

  private void letTimePass(Set<TopicPartition> active, Duration time) {
    Set<TopicPartition> paused = consumer.paused();
    partitions.forEach(
        (partition, assembly) -> {
          if (assembly.open().isEmpty() || paused.contains(partition)) {
            return;
          }
          OptionalLong lag = consumer.currentLag(partition);
          if (active.contains(partition) || lag.isEmpty() || lag.getAsLong() == 0) {
            assembly.open().values().forEach(group -> group.waitMore(time));
          }
        });
  }

  /** Reads what the group's commits say of partitions that are new to this reader. */
  private void recallPartitions() {
    Map<TopicPartition, Long> starts = new HashMap<>();
    for (ConsumerRecord<String, byte[]> record : fetched) {
      TopicPartition partition = partitionOf(record);
      if (!partitions.containsKey(partition)) {
        starts.putIfAbsent(partition, record.offset());
      }
    }
    if (starts.isEmpty()) {
      return;
    }
    Map<TopicPartition, OffsetAndMetadata> committed = committed(starts.keySet());
    starts.forEach(
        (partition, start) ->
            partitions.put(partition, PartitionAssembly.from(start, committed.get(partition))));
  }

  private Map<TopicPartition, OffsetAndMetadata> committed(Set<TopicPartition> wanted) {
    try {
      return consumer.committed(wanted);
    } catch (InvalidGroupIdException e) {
      // A consumer without a group has no commits.
      return Map.of();
    }
  }

  private void take(
      ConsumerRecord<String, byte[]> record,
      List<Received<T>> received,
      java.util.function.Consumer<Undecodable> undecodable) {
    PartitionAssembly assembly = partitions.get(partitionOf(record));
    boolean inPieces = Chunk.isOn(record.headers());
    Chunk chunk = inPieces ? Chunk.read(record.headers()) : null;
    if (assembly.isHandedOut(record.offset(), chunk)) {
      assembly.advanceTo(record.offset() + 1);
      return;
    }
    if (chunk != null) {
      takePiece(assembly, chunk, record, received, undecodable);
    } else if (inPieces) {
      undecodable.accept(
          undecodable(record, record.value(), "bad_chunk_header", "header " + Chunk.HEADER));
    } else if (record.value() != null || !topic.compacted()) {
      // Deleted keys of compacted topics are passed over.
      decode(record, record.value(), record.headers(), received, undecodable);
    }
    assembly.advanceTo(record.offset() + 1);
  }

  private void takePiece(
      PartitionAssembly assembly,
      Chunk chunk,
      ConsumerRecord<String, byte[]> record,
      List<Received<T>> received,
      java.util.function.Consumer<Undecodable> undecodable) {
    UUID id = chunk.group();
    if (assembly.isDropped(id)) {
      return;
    }
    PartitionAssembly.Group group = assembly.open().get(id);
    String refusal = refusal(group, chunk, record);
    if (refusal != null) {
      String reason =
          chunk.totalBytes() > maxPendingBytes ? "record_too_large" : "incomplete_chunks";
      undecodable.accept(undecodable(record, record.value(), reason, refusal));
      drop(assembly, id);
      return;
    }
    if (group == null) {
      makeRoom(assembly, undecodable);
      group = assembly.openGroup(record, chunk);
    }
    long before = group.bytes();
    group.add(chunk.index(), record.value());
    pendingBytes += group.bytes() - before;
    if (group.isComplete()) {
      byte[] whole = group.concatenated();
      if (group.isSound(whole)) {
        decode(record, whole, group.first().headers(), received, undecodable);
      } else {
        undecodable.accept(
            undecodable(record, whole, "damaged_chunks", "checksum of " + group.progress()));
      }
      pendingBytes -= group.bytes();
      assembly.close(id);
    } else {
      shedMemory(group, undecodable);
    }
  }

  /** Why a piece cannot be taken, or null when it can. */
  private String refusal(
      PartitionAssembly.Group group, Chunk chunk, ConsumerRecord<String, byte[]> record) {
    int size = record.value() == null ? 0 : record.value().length;
    if (chunk.totalBytes() > maxPendingBytes) {
      return "record of "
          + chunk.totalBytes()
          + " bytes (expected: at most "
          + maxPendingBytes
          + ")";
    }
    if (size == 0) {
      return "piece " + chunk.index() + " of no bytes";
    }
    if (group == null && chunk.index() != 0) {
      return "starts with piece " + chunk.index() + " of " + chunk.count();
    }
    if (group != null && !group.agreesWith(chunk)) {
      return "pieces of one record disagree about it";
    }
    boolean again = group != null && group.holds(chunk.index());
    long held = group == null ? 0 : group.bytes();
    return !again && held + size > chunk.totalBytes()
        ? "more bytes than the " + chunk.totalBytes() + " announced"
        : null;
  }

  private void makeRoom(
      PartitionAssembly assembly, java.util.function.Consumer<Undecodable> undecodable) {
    if (assembly.open().size() >= PartitionAssembly.MAX_OPEN_GROUPS) {
      giveUp(assembly, assembly.open().keySet().iterator().next(), undecodable);
    }
  }

  /** Gives up the groups that wait longest until the rest fits; never the one that just grew. */
  private void shedMemory(
      PartitionAssembly.Group keep, java.util.function.Consumer<Undecodable> undecodable) {
    while (pendingBytes > maxPendingBytes) {
      PartitionAssembly owner = null;
      UUID oldest = null;
      Duration longest = null;
      for (PartitionAssembly assembly : partitions.values()) {
        for (Map.Entry<UUID, PartitionAssembly.Group> entry : assembly.open().entrySet()) {
          PartitionAssembly.Group group = entry.getValue();
          if (group != keep && (longest == null || group.waited().compareTo(longest) > 0)) {
            owner = assembly;
            oldest = entry.getKey();
            longest = group.waited();
          }
        }
      }
      if (owner == null) {
        return; // one record alone never exceeds the bound, see refusal
      }
      giveUp(owner, oldest, undecodable);
    }
  }

  private void giveUpLateGroups(java.util.function.Consumer<Undecodable> undecodable) {
    for (PartitionAssembly assembly : partitions.values()) {
      for (UUID late : assembly.waitingLongerThan(GROUP_PATIENCE)) {
        giveUp(assembly, late, undecodable);
      }
    }
  }

  private void giveUp(
      PartitionAssembly assembly, UUID id, java.util.function.Consumer<Undecodable> undecodable) {
    PartitionAssembly.Group group = assembly.open().get(id);
    undecodable.accept(
        undecodable(
            group.first(),
            group.concatenated(),
            "incomplete_chunks",
            "given up with " + group.progress()));
    drop(assembly, id);
  }

  private void drop(PartitionAssembly assembly, UUID id) {
    PartitionAssembly.Group group = assembly.open().get(id);
    if (group != null) {
      pendingBytes -= group.bytes();
    }
    assembly.drop(id);
  }

  private void decode(
      ConsumerRecord<String, byte[]> record,
      byte[] value,
      Headers headers,
      List<Received<T>> received,
      java.util.function.Consumer<Undecodable> undecodable) {
    try {
      T decoded = codec.decode(record.topic(), value, topic.type());
      received.add(
          new Received<>(
              record.topic(),
              record.partition(),
              record.offset(),
              record.timestamp(),
              record.key(),
              decoded,
              RecordHeadersCopy.of(headers)));
    } catch (DecodeException e) {
      undecodable.accept(undecodable(record, value, e.reason().code(), e.getMessage()));
    }
  }

  private static Undecodable undecodable(
      ConsumerRecord<String, byte[]> record, byte[] value, String reason, String message) {
    return new Undecodable(
        record.topic(),
        record.partition(),
        record.offset(),
        record.key(),
        value,
        reason,
        message,
        RecordHeadersCopy.of(record.headers()));
  }

  private static TopicPartition partitionOf(ConsumerRecord<?, ?> record) {
    return new TopicPartition(record.topic(), record.partition());
  }

  private void forget(Collection<TopicPartition> gone) {
    for (TopicPartition partition : gone) {
      PartitionAssembly assembly = partitions.remove(partition);
      if (assembly != null) {
        for (PartitionAssembly.Group group : assembly.open().values()) {
          pendingBytes -= group.bytes();
        }
      }
      fetchedTo.remove(partition);
      fetched.removeIf(record -> partitionOf(record).equals(partition));
    }
  }

  /** Drops what is known of partitions that go to another member. */
  private final class Forgetting implements ConsumerRebalanceListener {
    private final ConsumerRebalanceListener delegate;

    Forgetting(ConsumerRebalanceListener delegate) {
      this.delegate = delegate;
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
      delegate.onPartitionsAssigned(assigned);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
      delegate.onPartitionsRevoked(revoked);
      forget(revoked);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> lost) {
      delegate.onPartitionsLost(lost);
      forget(lost);
    }
  }

  private static final class NothingToDo implements ConsumerRebalanceListener {
    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> assigned) {}

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> revoked) {}
  }
}
