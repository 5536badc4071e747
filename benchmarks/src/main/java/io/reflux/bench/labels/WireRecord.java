package io.reflux.bench.labels;

import io.reflux.bench.labels.Distributions.Row;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SoftLabels;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;

/**
 * Labels as they lie on a broker: in the Avro record with token ids and fingerprints, behind its
 * schema's id, in a batch under lz4 as the producer compresses it. The batch has one record, which
 * is the least that compression can work on.
 */
final class WireRecord {
  private static final int SCHEMA_ID_BYTES = 5;

  private WireRecord() {}

  /** Bytes on the broker for each labelled token; prompts are as long as what is labelled. */
  static double bytesPerToken(List<Row> rows, byte[] labels, int vocabulary, Random random)
      throws IOException {
    List<Integer> prompt = rows.stream().map(row -> new Draws(row.teacher()).next(random)).toList();
    List<Integer> response = rows.stream().map(Row::token).toList();
    String id = new UUID(random.nextLong(), random.nextLong()).toString();
    SoftLabels record =
        SoftLabels.newBuilder()
            .setRequestId(id)
            .setOrigin(Origin.REQUEST)
            .setRequestedAt(Instant.EPOCH)
            .setScoredAt(Instant.EPOCH)
            .setTeacherFingerprint(fingerprint(random))
            .setTokenizerFingerprint(fingerprint(random))
            .setChatTemplateFingerprint(fingerprint(random))
            .setVocabularySize(vocabulary)
            .setTokenIds(Stream.concat(prompt.stream(), response.stream()).toList())
            .setPromptLength(prompt.size())
            .setLabels(ByteBuffer.wrap(labels))
            .build();
    MemoryRecords batch =
        MemoryRecords.withRecords(
            Compression.lz4().build(),
            new SimpleRecord(0, id.getBytes(StandardCharsets.UTF_8), value(record)));
    return (double) batch.sizeInBytes() / rows.size();
  }

  private static byte[] value(SoftLabels record) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(new byte[SCHEMA_ID_BYTES]);
    BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
    new SpecificDatumWriter<>(SoftLabels.class).write(record, encoder);
    return out.toByteArray();
  }

  private static String fingerprint(Random random) {
    StringBuilder text = new StringBuilder();
    IntStream.range(0, 64).forEach(i -> text.append(Character.forDigit(random.nextInt(16), 16)));
    return text.toString();
  }
}
