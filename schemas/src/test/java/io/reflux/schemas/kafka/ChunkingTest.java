package io.reflux.schemas.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.Records;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.registry.RecordCodec;
import io.reflux.schemas.registry.RegistryClient;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.schemas.registry.TestRegistry;
import io.reflux.schemas.service.RefluxException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLong;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.MockConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class ChunkingTest {
  private static final int PIECE_BYTES = 100;
  private static final String NAME = "t.requests";
  private static final TopicPartition PARTITION = new TopicPartition(NAME, 0);
  private static final Topic<MirroredRequest> TOPIC = topic(false);

  private static TestRegistry registry;
  private static RecordCodec codec;

  private final List<Undecodable> undecodable = new ArrayList<>();
  private final AtomicLong nanos = new AtomicLong();

  private static Topic<MirroredRequest> topic(boolean compacted) {
    return new Topic<>(
        "requests",
        MirroredRequest.class,
        "request_id",
        1,
        Duration.ofDays(1),
        compacted,
        PIECE_BYTES,
        "For tests.");
  }

  @BeforeAll
  @BeforeContainer
  static void startRegistry() {
    registry = TestRegistry.start();
    codec = new RecordCodec(new RegistryClient(registry.config()));
  }

  @AfterAll
  @AfterContainer
  static void stopRegistry() {
    registry.close();
  }

  // --- what the topic holds

  private static MockProducer<String, byte[]> producer() {
    return new MockProducer<>(true, null, new StringSerializer(), new ByteArraySerializer());
  }

  /** The Kafka records that one request becomes. */
  private static List<ProducerRecord<String, byte[]>> sent(MirroredRequest request) {
    MockProducer<String, byte[]> producer = producer();
    new TopicWriter<>(TOPIC, NAME, codec, producer).send(request.getRequestId(), request).join();
    return producer.history();
  }

  private static MirroredRequest request(String id, int promptLength) {
    return Records.request(id, "x".repeat(promptLength));
  }

  private static List<ConsumerRecord<String, byte[]>> log(
      List<ProducerRecord<String, byte[]>> records) {
    List<ConsumerRecord<String, byte[]>> log = new ArrayList<>();
    for (ProducerRecord<String, byte[]> record : records) {
      log.add(at(log.size(), record));
    }
    return log;
  }

  private static ConsumerRecord<String, byte[]> at(
      long offset, ProducerRecord<String, byte[]> record) {
    return new ConsumerRecord<>(
        NAME,
        0,
        offset,
        1000 + offset,
        TimestampType.CREATE_TIME,
        0,
        record.value() == null ? 0 : record.value().length,
        record.key(),
        record.value(),
        record.headers(),
        java.util.Optional.empty());
  }

  @SafeVarargs
  private static <E> List<E> concat(List<? extends E>... lists) {
    List<E> all = new ArrayList<>();
    for (List<? extends E> list : lists) {
      all.addAll(list);
    }
    return all;
  }

  // --- who reads it

  private MockConsumer<String, byte[]> consumer(List<ConsumerRecord<String, byte[]>> log) {
    MockConsumer<String, byte[]> consumer = new MockConsumer<>("earliest");
    consumer.updatePartitions(NAME, List.of(new PartitionInfo(NAME, 0, null, null, null)));
    consumer.assign(List.of(PARTITION));
    consumer.updateBeginningOffsets(Map.of(PARTITION, 0L));
    consumer.updateEndOffsets(Map.of(PARTITION, (long) log.size()));
    log.forEach(consumer::addRecord);
    return consumer;
  }

  private TopicReader<MirroredRequest> reader(MockConsumer<String, byte[]> consumer) {
    return reader(consumer, 1 << 20);
  }

  private TopicReader<MirroredRequest> reader(
      MockConsumer<String, byte[]> consumer, long maxPendingBytes) {
    return new TopicReader<>(TOPIC, NAME, codec, consumer, maxPendingBytes, nanos::get);
  }

  private List<String> read(TopicReader<MirroredRequest> reader) {
    return reader.poll(Duration.ofSeconds(1), undecodable::add).stream()
        .map(received -> received.value().getRequestId())
        .toList();
  }

  // --- writing

  @Test
  void smallRecordsGoOutWhole() {
    List<ProducerRecord<String, byte[]>> records =
        sent(MirroredRequest.newBuilder(request("a", 0)).setTags(Map.of()).build());

    assertThat(records).hasSize(1);
    assertThat(records.get(0).headers()).isEmpty();
    assertThat(records.get(0).key()).isEqualTo("a");
  }

  @Test
  void largeRecordsGoOutInPiecesOfOneKey() {
    List<ProducerRecord<String, byte[]>> records = sent(request("a", 350));

    assertThat(records).hasSizeGreaterThan(3);
    assertThat(records).allMatch(record -> record.key().equals("a"));
    assertThat(records).allMatch(record -> record.value().length <= PIECE_BYTES);
  }

  @Test
  void piecesWithoutAKeyMeetInOnePartition() {
    List<PartitionInfo> partitions = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      partitions.add(new PartitionInfo(NAME, i, null, null, null));
    }
    Cluster cluster =
        new Cluster(
            "c",
            List.of(new Node(0, "h", 1)),
            partitions,
            Collections.emptySet(),
            Collections.emptySet());
    MockProducer<String, byte[]> producer =
        new MockProducer<>(cluster, true, null, new StringSerializer(), new ByteArraySerializer());

    new TopicWriter<>(TOPIC, NAME, codec, producer).send(null, request("a", 350)).join();

    assertThat(producer.history())
        .extracting(ProducerRecord::partition)
        .containsOnly(producer.history().get(0).partition());
    assertThat(producer.history().get(0).partition()).isNotNull();
  }

  @Test
  void timestampIsTheCallers() {
    MockProducer<String, byte[]> producer = producer();

    new TopicWriter<>(TOPIC, NAME, codec, producer)
        .send("a", request("a", 350), Instant.ofEpochMilli(77))
        .join();

    assertThat(producer.history()).allMatch(record -> record.timestamp() == 77);
  }

  @Test
  void headersComeBackWithRecordsInPiecesAndWhole() {
    MockProducer<String, byte[]> producer = producer();
    TopicWriter<MirroredRequest> writer = new TopicWriter<>(TOPIC, NAME, codec, producer);
    List<Header> headers = List.of(new RecordHeader("traceparent", new byte[] {1, 2}));
    writer.send("a", request("a", 350), null, headers).join();
    writer.send("b", request("b", 0), null, headers).join();
    writer.send("c", request("c", 0)).join();

    List<Received<MirroredRequest>> received =
        reader(consumer(log(producer.history()))).poll(Duration.ofSeconds(1), undecodable::add);

    assertThat(producer.history().get(1).headers().toArray()).contains(headers.get(0));
    assertThat(received).extracting(Received::key).containsExactly("a", "b", "c");
    assertThat(received.get(0).headers()).containsExactlyElementsOf(headers);
    assertThat(received.get(1).headers()).containsExactlyElementsOf(headers);
    assertThat(received.get(2).headers()).isEmpty();
    assertThatThrownBy(() -> received.get(1).headers().remove("traceparent"))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void compactedTopicsTakeNoPieces() {
    TopicWriter<MirroredRequest> writer = new TopicWriter<>(topic(true), NAME, codec, producer());

    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> writer.send("a", request("a", 350)))
        .withMessageStartingWith("t.requests: record of ")
        .withMessageEndingWith("(expected: at most 100 in a compacted topic)");
  }

  @Test
  void failureOfOnePieceFailsTheRecord() {
    MockProducer<String, byte[]> producer =
        new MockProducer<>(false, null, new StringSerializer(), new ByteArraySerializer());
    var future = new TopicWriter<>(TOPIC, NAME, codec, producer).send("a", request("a", 150));

    assertThat(producer.completeNext()).isTrue();
    assertThat(producer.errorNext(new KafkaException("disk full"))).isTrue();
    boolean more = true;
    while (more) {
      more = producer.completeNext();
    }

    assertThat(future).isCompletedExceptionally();
    assertThatThrownBy(future::join).hasRootCauseMessage("disk full");
  }

  // --- reading

  @Test
  void piecesAreOneRecordAtTheOffsetOfTheLast() {
    MirroredRequest large = request("a", 350);
    List<ConsumerRecord<String, byte[]>> log = log(sent(large));
    TopicReader<MirroredRequest> reader = reader(consumer(log));

    List<Received<MirroredRequest>> received = reader.poll(Duration.ZERO, undecodable::add);

    assertThat(received).hasSize(1);
    assertThat(received.get(0).value()).isEqualTo(large);
    assertThat(received.get(0).offset()).isEqualTo(log.size() - 1);
    assertThat(received.get(0).key()).isEqualTo("a");
    assertThat(reader.positions())
        .containsExactly(Map.entry(PARTITION, new OffsetAndMetadata(log.size())));
    assertThat(undecodable).isEmpty();
  }

  /**
   * Writers whose pieces mix, polls of any size, restarts from the committed positions: every
   * record comes exactly once, each writer's in order.
   */
  @Property(tries = 300)
  void everyRecordComesExactlyOnceAcrossRestarts(@ForAll long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int writers = random.nextInt(1, 5);
    List<Deque<ProducerRecord<String, byte[]>>> queues = new ArrayList<>();
    List<List<String>> written = new ArrayList<>();
    for (int writer = 0; writer < writers; writer++) {
      queues.add(new ArrayDeque<>());
      written.add(new ArrayList<>());
      for (int i = random.nextInt(6); i >= 0; i--) {
        String id = writer + "/" + i;
        written.get(writer).add(id);
        queues.get(writer).addAll(sent(request(id, random.nextInt(400))));
      }
    }
    List<ProducerRecord<String, byte[]>> mixed = new ArrayList<>();
    while (queues.stream().anyMatch(queue -> !queue.isEmpty())) {
      Deque<ProducerRecord<String, byte[]>> queue = queues.get(random.nextInt(writers));
      if (!queue.isEmpty()) {
        mixed.add(queue.removeFirst());
      }
    }
    List<ConsumerRecord<String, byte[]>> log = log(mixed);

    List<String> received = new ArrayList<>();
    OffsetAndMetadata committed = new OffsetAndMetadata(0);
    while (committed.offset() < log.size()) {
      MockConsumer<String, byte[]> consumer = consumer(log);
      consumer.setMaxPollRecords(random.nextInt(1, 12));
      consumer.commitSync(Map.of(PARTITION, committed));
      consumer.seek(PARTITION, committed.offset());
      TopicReader<MirroredRequest> reader = reader(consumer);
      // At least as far as all that one open group spans, or a restart would never get beyond it.
      for (int polls = random.nextInt(1, 6) + log.size() / 2; polls > 0; polls--) {
        received.addAll(read(reader));
      }
      committed = reader.positions().get(PARTITION);
    }

    assertThat(undecodable).isEmpty();
    for (int writer = 0; writer < writers; writer++) {
      String prefix = writer + "/";
      assertThat(received.stream().filter(id -> id.startsWith(prefix)))
          .containsExactlyElementsOf(written.get(writer));
    }
  }

  @Test
  void openGroupHoldsTheSafePositionBack() {
    List<ProducerRecord<String, byte[]>> large = sent(request("large", 350));
    List<ProducerRecord<String, byte[]>> mixed =
        concat(sent(request("a", 0)), large.subList(0, 2), sent(request("b", 0)));
    int smallPieces = sent(request("a", 0)).size();
    List<ConsumerRecord<String, byte[]>> log = log(mixed);
    TopicReader<MirroredRequest> reader = reader(consumer(log));

    assertThat(read(reader)).containsExactly("a", "b");

    OffsetAndMetadata safe = reader.positions().get(PARTITION);
    assertThat(safe.offset()).isEqualTo(smallPieces);
    assertThat(safe.metadata()).startsWith("reflux1:" + log.size() + ":");
  }

  @Test
  void seekingBackBringsRecordsAgain() {
    List<ConsumerRecord<String, byte[]>> log =
        log(concat(sent(request("a", 200)), sent(request("b", 200))));
    MockConsumer<String, byte[]> consumer = consumer(log);
    TopicReader<MirroredRequest> reader = reader(consumer);
    assertThat(read(reader)).containsExactly("a", "b");

    reader.seekToBeginning();
    log.forEach(consumer::addRecord);

    assertThat(read(reader)).containsExactly("a", "b");
    assertThat(undecodable).isEmpty();
  }

  @Test
  void abortedTransactionGoesBackToTheCommit() {
    List<ConsumerRecord<String, byte[]>> log =
        log(concat(sent(request("a", 200)), sent(request("b", 200))));
    MockConsumer<String, byte[]> consumer = consumer(log);
    int pieces = log.size() / 2;
    consumer.commitSync(Map.of(PARTITION, new OffsetAndMetadata(pieces)));
    consumer.seek(PARTITION, 0);
    TopicReader<MirroredRequest> reader = reader(consumer);
    assertThat(read(reader)).containsExactly("a", "b");

    reader.seekToCommitted();
    log.forEach(consumer::addRecord);

    assertThat(read(reader)).containsExactly("b");
  }

  @Test
  void startInTheMiddleOfAGroupIsReportedOnce() {
    List<ConsumerRecord<String, byte[]>> log =
        log(concat(sent(request("a", 350)), sent(request("b", 0))));
    MockConsumer<String, byte[]> consumer = consumer(log);
    consumer.seek(PARTITION, 1);

    assertThat(read(reader(consumer))).containsExactly("b");
    assertThat(undecodable).hasSize(1);
    assertThat(undecodable.get(0).reason()).isEqualTo("incomplete_chunks");
    assertThat(undecodable.get(0).coordinates()).isEqualTo("t.requests-0@1");
  }

  @Test
  void revokedPartitionsAreForgotten() {
    List<ProducerRecord<String, byte[]>> large = sent(request("a", 350));
    List<ConsumerRecord<String, byte[]>> log = log(large);
    MockConsumer<String, byte[]> consumer = new MockConsumer<>("earliest");
    TopicReader<MirroredRequest> reader = reader(consumer).subscribe();
    consumer.rebalance(List.of(PARTITION));
    consumer.updateBeginningOffsets(Map.of(PARTITION, 0L));
    log.subList(0, 2).forEach(consumer::addRecord);
    assertThat(read(reader)).isEmpty();
    assertThat(reader.positions()).containsOnlyKeys(PARTITION);

    consumer.rebalance(List.of());
    assertThat(reader.positions()).isEmpty();
    consumer.rebalance(List.of(PARTITION));
    consumer.updateBeginningOffsets(Map.of(PARTITION, 0L));
    log.forEach(consumer::addRecord);

    assertThat(read(reader)).containsExactly("a");
    assertThat(undecodable).isEmpty();
  }

  @Test
  void writerThatDiedHoldsNothingForEver() {
    List<ProducerRecord<String, byte[]>> large = sent(request("dead", 350));
    List<ConsumerRecord<String, byte[]>> log =
        log(concat(large.subList(0, 2), sent(request("b", 0))));
    TopicReader<MirroredRequest> reader = reader(consumer(log));
    assertThat(read(reader)).containsExactly("b");
    assertThat(reader.positions().get(PARTITION).offset()).isZero();

    // Long pauses of the reader itself do not count.
    nanos.addAndGet(Duration.ofHours(1).toNanos());
    assertThat(read(reader)).isEmpty();
    assertThat(undecodable).isEmpty();
    for (int second = 0; second <= 300; second++) {
      nanos.addAndGet(Duration.ofSeconds(1).toNanos());
      assertThat(read(reader)).isEmpty();
    }

    assertThat(undecodable).hasSize(1);
    assertThat(undecodable.get(0).offset()).isZero();
    assertThat(undecodable.get(0).value()).hasSize(2 * PIECE_BYTES);
    assertThat(undecodable.get(0).message()).contains("given up with 2 of ");
    assertThat(reader.positions().get(PARTITION)).isEqualTo(new OffsetAndMetadata(log.size()));
  }

  @Test
  void memoryIsBounded() {
    List<List<ProducerRecord<String, byte[]>>> groups = new ArrayList<>();
    List<ProducerRecord<String, byte[]>> starts = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      List<ProducerRecord<String, byte[]>> pieces = sent(request("r" + i, 350));
      groups.add(pieces);
      starts.addAll(pieces.subList(0, 3));
    }
    List<ProducerRecord<String, byte[]>> rests = new ArrayList<>();
    groups.forEach(pieces -> rests.addAll(pieces.subList(3, pieces.size())));
    TopicReader<MirroredRequest> reader =
        reader(consumer(log(concat(starts, rests))), 15 * PIECE_BYTES);

    assertThat(read(reader)).hasSizeGreaterThanOrEqualTo(3).contains("r5");
    assertThat(undecodable).isNotEmpty();
    assertThat(undecodable).allMatch(record -> record.reason().equals("incomplete_chunks"));
  }

  @Test
  void recordLargerThanAllMemoryIsRefusedAtItsFirstPiece() {
    List<ConsumerRecord<String, byte[]>> log =
        log(concat(sent(request("large", 3000)), sent(request("b", 0))));
    TopicReader<MirroredRequest> reader = reader(consumer(log), 1000);

    assertThat(read(reader)).containsExactly("b");
    assertThat(undecodable).hasSize(1);
    assertThat(undecodable.get(0).reason()).isEqualTo("record_too_large");
  }

  @Test
  void repeatedPiecesChangeNothing() {
    List<ProducerRecord<String, byte[]>> large = sent(request("a", 350));
    List<ProducerRecord<String, byte[]>> doubled = new ArrayList<>();
    for (ProducerRecord<String, byte[]> piece : large.subList(0, large.size() - 1)) {
      doubled.add(piece);
      doubled.add(piece);
    }
    doubled.add(large.get(large.size() - 1));

    assertThat(read(reader(consumer(log(doubled))))).containsExactly("a");
    assertThat(undecodable).isEmpty();
  }

  @Test
  void damagedPiecesAreFoundByTheChecksum() {
    List<ConsumerRecord<String, byte[]>> log = log(sent(request("a", 350)));
    log.get(1).value()[7] ^= 1;

    assertThat(read(reader(consumer(log)))).isEmpty();
    assertThat(undecodable).extracting(Undecodable::reason).containsExactly("damaged_chunks");
  }

  @Test
  void headersThatLieAreReported() {
    byte[] piece = new byte[10];
    List<ProducerRecord<String, byte[]>> records = new ArrayList<>();
    for (byte[] header :
        List.of(
            new byte[0],
            new byte[37],
            lying(0, Integer.MAX_VALUE, Long.MAX_VALUE),
            lying(-1, 2, 20),
            lying(2, 2, 20),
            lying(0, 5, 4),
            lying(0, 2, 5))) {
      ProducerRecord<String, byte[]> record = new ProducerRecord<>(NAME, "k", piece);
      record.headers().add(Chunk.HEADER, header);
      records.add(record);
    }

    assertThat(read(reader(consumer(log(records))))).isEmpty();
    assertThat(undecodable)
        .extracting(Undecodable::reason)
        .containsExactly(
            "bad_chunk_header",
            "bad_chunk_header",
            "record_too_large",
            "bad_chunk_header",
            "bad_chunk_header",
            "bad_chunk_header",
            "incomplete_chunks");
  }

  private static byte[] lying(int index, int count, long total) {
    return ByteBuffer.allocate(37)
        .put((byte) 1)
        .putLong(index)
        .putLong(total)
        .putInt(index)
        .putInt(count)
        .putLong(total)
        .putInt(0)
        .array();
  }

  @Test
  void poisonIsReportedInItsTurnAndTheRestGoesOn() {
    List<ProducerRecord<String, byte[]>> records =
        concat(
            sent(request("a", 0)),
            List.of(
                new ProducerRecord<String, byte[]>(NAME, "k", new byte[] {9, 9}),
                new ProducerRecord<String, byte[]>(NAME, "k", null)),
            sent(request("b", 0)));
    List<ConsumerRecord<String, byte[]>> log = log(records);
    TopicReader<MirroredRequest> reader = reader(consumer(log));

    assertThat(read(reader)).containsExactly("a", "b");
    assertThat(undecodable).extracting(Undecodable::reason).containsExactly("bad_magic", "empty");
    assertThat(reader.positions().get(PARTITION).offset()).isEqualTo(log.size());
  }

  @Test
  void deletedKeysOfCompactedTopicsArePassedOver() {
    List<ConsumerRecord<String, byte[]>> log =
        log(List.of(new ProducerRecord<String, byte[]>(NAME, "k", null)));
    TopicReader<MirroredRequest> reader =
        new TopicReader<>(topic(true), NAME, codec, consumer(log));

    assertThat(read(reader)).isEmpty();
    assertThat(undecodable).isEmpty();
    assertThat(reader.positions().get(PARTITION).offset()).isEqualTo(1);
  }

  @Test
  void registryAwayLosesNothing() {
    List<ConsumerRecord<String, byte[]>> log =
        log(concat(sent(request("a", 350)), sent(request("b", 0))));
    RecordCodec fresh = new RecordCodec(new RegistryClient(registry.config()));
    TopicReader<MirroredRequest> reader =
        new TopicReader<>(TOPIC, NAME, fresh, consumer(log), 1 << 20, nanos::get);
    registry.answerNext(403, "{}");

    assertThatExceptionOfType(RegistryException.class).isThrownBy(() -> read(reader));
    assertThat(read(reader)).containsExactly("a", "b");
    assertThat(undecodable).isEmpty();
  }

  @Test
  void failingCallbackMeetsTheRecordAgain() {
    List<ConsumerRecord<String, byte[]>> log =
        log(
            concat(
                sent(request("a", 0)),
                List.of(new ProducerRecord<String, byte[]>(NAME, "k", new byte[] {9}))));
    TopicReader<MirroredRequest> reader = reader(consumer(log));

    assertThat(
            reader.poll(
                Duration.ZERO,
                record -> {
                  throw new KafkaException("dead letters are full");
                }))
        .hasSize(1);
    assertThat(read(reader)).isEmpty();
    assertThat(undecodable).hasSize(1);
  }

  @Test
  void assignsEveryPartitionWithoutAGroup() {
    List<ConsumerRecord<String, byte[]>> log = log(sent(request("a", 0)));
    MockConsumer<String, byte[]> consumer = new MockConsumer<>("earliest");
    TopicReader<MirroredRequest> reader = reader(consumer);
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(reader::assignAll)
        .withMessageStartingWith("Topic t.requests: not there");

    consumer.updatePartitions(NAME, List.of(new PartitionInfo(NAME, 0, null, null, null)));
    consumer.updateBeginningOffsets(Map.of(PARTITION, 0L));
    consumer.updateEndOffsets(Map.of(PARTITION, 5L));
    reader.assignAll();
    log.forEach(consumer::addRecord);
    assertThat(read(reader)).containsExactly("a");

    reader.seekToEndBlocking();
    assertThat(consumer.position(PARTITION)).isEqualTo(5);
  }
}
