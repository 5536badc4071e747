package io.reflux.snapshots;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotStore.Wanted;
import io.reflux.snapshots.StoredObject.Place;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * Records with one bit changed, put straight into what reads them: a broker would only hand them
 * on. Of manifests, {@link SignedSnapshotTest} changes as many.
 */
@ExtendWith(SharedStack.class)
class FlippedRecordsTest {
  private static final int CHUNK_FLIPS = 100_000;

  @TempDir Path temp;

  /**
   * Every bit of the keys and values of chunks, until there were enough: objects of one piece and
   * of several, the only copy of each, all other pieces good.
   */
  @Test
  void hundredThousandFlipsOfChunksAreRefusedOrChangeNothing(DevStack stack) throws IOException {
    KafkaClients clients = stack.clients("flips.");
    Random random = new Random(17);
    int flips = 0;
    int same = 0;
    while (flips < CHUNK_FLIPS) {
      // Pieces beside the changed one are written each time, which takes longer.
      Chunked object = Chunked.random(clients, random, random.nextInt(8) == 0 ? 3 : 1);
      int changed = random.nextInt(object.records().size());
      int bits = 8 * object.bytes(changed);
      for (int bit = 0; bit < bits; bit++, flips++) {
        if (object.isTakenWhenFlipped(clients, changed, bit, temp)) {
          same++;
        }
      }
    }
    assertThat(flips).isGreaterThanOrEqualTo(CHUNK_FLIPS);
    // Chunks have no bits to spare: whatever is changed tells in a key, a checksum or a digest.
    assertThat(same).isZero();
  }

  /** Every third bit, which comes to every byte, of a signed pointer that follows a good one. */
  @Test
  void flippedPointersMoveNothing(DevStack stack) {
    KafkaClients clients = stack.clients("flips.");
    Keys keys = new Keys(temp.resolve("keys"));
    SnapshotAccess access = keys.access(clients, "publisher", keys.trust("trust", "publisher"));
    String topic = Topics.SNAPSHOT_POINTERS.fullName(clients.kafka());
    SnapshotPointer good = pointer(6);
    access.sign(good);
    byte[] standing = clients.codec().encode(topic, good);
    SnapshotPointer next = pointer(7);
    access.sign(next);
    byte[] value = clients.codec().encode(topic, next);
    int refused = 0;
    int same = 0;
    for (int bit = 0; bit < 8 * value.length; bit += 3) {
      SignedPointerFold fold = new SignedPointerFold(access, "stable");
      fold.add(new ConsumerRecord<>(topic, 0, 0, "stable", standing));
      fold.add(new ConsumerRecord<>(topic, 0, 1, "stable", flipped(value, bit)));
      if (fold.unreadable().isPresent()) {
        refused++;
        assertThat(fold.unreadable().get().kind())
            .as("bit %s", bit)
            .isIn(Kind.UNREADABLE_POINTER, Kind.UNTRUSTED);
        assertThat(fold.last()).as("bit %s", bit).contains(good);
      } else {
        // Avro reads any byte but 1 as false: what moves is what was signed.
        same++;
        assertThat(fold.current()).as("bit %s", bit).contains(next);
      }
    }
    assertThat(refused).isGreaterThan(500);
    assertThat(same).isLessThan(10);
  }

  private static SnapshotPointer pointer(long version) {
    return SnapshotPointer.newBuilder()
        .setChannel("stable")
        .setVersion(version)
        .setManifestSha256("ab".repeat(32))
        .setRollback(false)
        .setReason("better")
        .setMovedAt(Instant.ofEpochMilli(1_700_000_000_000L + version))
        .build();
  }

  private static byte[] flipped(byte[] value, int bit) {
    byte[] changed = value.clone();
    changed[bit / 8] ^= (byte) (1 << (bit % 8));
    return changed;
  }

  /** An object and the records that carry it. */
  private record Chunked(
      byte[] content, StoredObject object, List<ConsumerRecord<String, byte[]>> records) {

    static Chunked random(KafkaClients clients, Random random, int pieces) {
      String topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
      int length = 20 + random.nextInt(100);
      byte[] content = new byte[pieces * length];
      random.nextBytes(content);
      var digest = Digests.sha256();
      digest.update(content);
      String sha256 = Digests.hex(digest);
      List<ConsumerRecord<String, byte[]>> records = new ArrayList<>();
      for (int i = 0; i < pieces; i++) {
        ByteBuffer data = ByteBuffer.wrap(content, i * length, length).slice();
        SnapshotChunk chunk =
            SnapshotChunk.newBuilder()
                .setFileSha256(sha256)
                .setIndex(i)
                .setCount(pieces)
                .setOffset((long) i * length)
                .setCrc32c(ChunkGathering.crc32c(data))
                .setData(data)
                .build();
        records.add(
            new ConsumerRecord<>(
                topic, 0, i, ChunkSender.key(sha256, i), clients.codec().encode(topic, chunk)));
      }
      return new Chunked(
          content, new StoredObject(sha256, content.length, pieces, Place.UNKNOWN), records);
    }

    /** Of a record's key and value. */
    int bytes(int index) {
      return records.get(index).key().length() + records.get(index).value().length;
    }

    /** Whether it is put together all the same; it must then be what it was. */
    boolean isTakenWhenFlipped(KafkaClients clients, int index, int bit, Path folder)
        throws IOException {
      Path target = folder.resolve("object");
      String topic = records.get(0).topic();
      ChunkGathering gathering =
          new ChunkGathering(clients.codec(), topic, List.of(new Wanted("object", object, target)));
      try {
        for (int i = 0; i < records.size(); i++) {
          gathering.add(i == index ? flipped(records.get(i), bit) : records.get(i));
        }
        gathering.finish();
        assertThat(target).as("bit %s of piece %s", bit, index).hasBinaryContent(content);
        return true;
      } catch (RefluxException e) {
        return false;
      } finally {
        Files.deleteIfExists(target);
      }
    }

    private static ConsumerRecord<String, byte[]> flipped(
        ConsumerRecord<String, byte[]> record, int bit) {
      byte[] key = record.key().getBytes(StandardCharsets.ISO_8859_1);
      boolean inKey = bit < 8 * key.length;
      return new ConsumerRecord<>(
          record.topic(),
          record.partition(),
          record.offset(),
          inKey
              ? new String(FlippedRecordsTest.flipped(key, bit), StandardCharsets.ISO_8859_1)
              : record.key(),
          inKey
              ? record.value()
              : FlippedRecordsTest.flipped(record.value(), bit - 8 * key.length));
    }
  }
}
