package io.reflux.schemas.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.reflux.schemas.Records;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.registry.DecodeException.Reason;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.apache.avro.Schema;
import org.apache.avro.SchemaBuilder;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class RecordCodecTest {
  private static final String TOPIC = "reflux.requests";

  private TestRegistry registry;
  private RecordCodec codec;

  @BeforeEach
  void start() {
    registry = TestRegistry.start();
    RegistryHttp.Patience once =
        new RegistryHttp.Patience(1, Duration.ofSeconds(5), Duration.ofMillis(1));
    codec =
        new RecordCodec(
            new RegistryClient(new RegistryHttp(registry.config(), once), System::nanoTime));
  }

  @AfterEach
  void stop() {
    registry.close();
  }

  private DecodeException failure(byte[] bytes) {
    DecodeException e =
        catchThrowableOfType(
            DecodeException.class, () -> codec.decode(TOPIC, bytes, MirroredRequest.class));
    assertThat(e).isNotNull();
    return e;
  }

  @Test
  void recordsComeBackAsTheyWere() throws DecodeException {
    MirroredRequest request = Records.request("r1", "Wie geht's?");

    assertThat(codec.decode(TOPIC, codec.encode(TOPIC, request), MirroredRequest.class))
        .isEqualTo(request);
  }

  @Test
  void wireFormatIsConfluents() {
    registry.add("other-value", "\"int\"");
    byte[] bytes = codec.encode(TOPIC, Records.request("r1", null));

    assertThat(bytes).startsWith(0, 0, 0, 0, 2);
    // Avro: the first field is the string "r1", its length as a zigzag number.
    assertThat(Arrays.copyOfRange(bytes, 5, 8)).containsExactly(4, 'r', '1');
    assertThat(registry.requests())
        .containsExactly("POST /subjects/reflux.requests-value/versions");
  }

  @Test
  void olderAndNewerWritersAreResolvedToOurSchema() throws DecodeException, IOException {
    Schema ours = MirroredRequest.getClassSchema();
    Schema older = without(ours, "max_tokens", null);
    Schema newer =
        without(
            ours,
            null,
            new Schema.Field("colour", Schema.create(Schema.Type.STRING), "new", "blue"));

    for (Schema writer : List.of(older, newer)) {
      int id = registry.add(RecordCodec.subject(TOPIC), writer.toString());
      GenericRecord record = new GenericData.Record(writer);
      for (Schema.Field field : writer.getFields()) {
        record.put(
            field.name(),
            field.hasDefaultValue()
                ? GenericData.get().getDefaultValue(field)
                : field.schema().getType() == Schema.Type.LONG ? (Object) 1_700_000_000_123L : "x");
      }
      MirroredRequest request = codec.decode(TOPIC, wire(id, record), MirroredRequest.class);

      assertThat(request.getRequestId()).isEqualTo("x");
      assertThat(request.getReceivedAt()).isEqualTo(Instant.ofEpochMilli(1_700_000_000_123L));
      assertThat(request.getMaxTokens()).isNull();
    }
  }

  private static Schema without(Schema schema, String removed, Schema.Field added) {
    List<Schema.Field> fields = new java.util.ArrayList<>();
    for (Schema.Field field : schema.getFields()) {
      if (!field.name().equals(removed)) {
        fields.add(new Schema.Field(field, field.schema()));
      }
    }
    if (added != null) {
      fields.add(added);
    }
    return Schema.createRecord(
        schema.getName(), schema.getDoc(), schema.getNamespace(), false, fields);
  }

  private static byte[] wire(int id, GenericRecord record) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(ByteBuffer.allocate(5).put((byte) 0).putInt(id).array());
    BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
    new GenericDatumWriter<GenericRecord>(record.getSchema()).write(record, encoder);
    encoder.flush();
    return out.toByteArray();
  }

  @Test
  void whatIsWrongIsSaid() {
    byte[] good = codec.encode(TOPIC, Records.request("r1", "hello"));

    assertThat(failure(null).reason()).isEqualTo(Reason.EMPTY);
    assertThat(failure(new byte[0]).reason()).isEqualTo(Reason.EMPTY);
    assertThat(failure("{\"a\":1}".getBytes(StandardCharsets.UTF_8)))
        .hasMessage("reflux.requests: first byte: 123 (expected: 0, Confluent's wire format)")
        .extracting(DecodeException::reason)
        .isEqualTo(Reason.BAD_MAGIC);
    assertThat(failure(new byte[] {0, 0, 0}).reason()).isEqualTo(Reason.TRUNCATED);
    assertThat(failure(new byte[] {0, 0, 0, 0, 99}))
        .hasMessageContaining("schema id 99")
        .hasMessageContaining(registry.url())
        .extracting(DecodeException::reason)
        .isEqualTo(Reason.UNKNOWN_SCHEMA);
    assertThat(failure(Arrays.copyOf(good, good.length + 1)).reason())
        .isEqualTo(Reason.TRAILING_BYTES);
    assertThat(
            failure(
                codec.encode(TOPIC, new SnapshotChunk("f", 0, 1, 0L, 0L, ByteBuffer.allocate(3)))))
        .hasMessage(
            "reflux.requests: io.reflux.schemas.avro.SnapshotChunk"
                + " (expected: io.reflux.schemas.avro.MirroredRequest)")
        .extracting(DecodeException::reason)
        .isEqualTo(Reason.WRONG_RECORD);
  }

  @Test
  void everyCutIsTruncated() {
    byte[] good = codec.encode(TOPIC, Records.request("r1", "hello"));
    for (int length = 1; length < good.length; length++) {
      assertThat(failure(Arrays.copyOf(good, length)).reason()).isEqualTo(Reason.TRUNCATED);
    }
  }

  @Test
  void schemaThatDoesNotResolveIsIncompatible() {
    Schema foreign =
        SchemaBuilder.record("MirroredRequest")
            .namespace("io.reflux.schemas.avro")
            .fields()
            .requiredInt("request_id")
            .endRecord();
    int id = registry.add("x-value", foreign.toString());

    assertThat(failure(new byte[] {0, 0, 0, 0, (byte) id, 2}).reason())
        .isEqualTo(Reason.INCOMPATIBLE_SCHEMA);
  }

  @Test
  void lengthsThatLieCostNoMemory() {
    int id = codec.registry().register("r-value", Rollout.getClassSchema());
    ByteBuffer bytes = ByteBuffer.allocate(200);
    bytes.put((byte) 0).putInt(id);
    bytes.put(new byte[] {2, 'a', 2, 'b', 2, 'c', 2, 2, 2, 2, 'd', 2, 'e'});
    // token_ids: 2^31 - 9 elements, just what Avro itself would make room for
    bytes.put(new byte[] {(byte) 0xee, (byte) 0xff, (byte) 0xff, (byte) 0xff, 0x0f});

    DecodeException e =
        catchThrowableOfType(
            DecodeException.class, () -> codec.decode(TOPIC, bytes.array(), Rollout.class));

    assertThat(e.reason()).isEqualTo(Reason.TRUNCATED);
    assertThat(e).hasMessageContaining("2147483639 elements");
  }

  @Test
  void recursiveSchemasDoNotExhaustTheStack() throws IOException {
    Schema endless =
        new Schema.Parser()
            .parse(
                "{\"type\":\"record\",\"name\":\"MirroredRequest\","
                    + "\"namespace\":\"io.reflux.schemas.avro\",\"fields\":["
                    + "{\"name\":\"next\",\"type\":[\"null\",\"MirroredRequest\"]}]}");
    byte[] deep = new byte[100_000];
    Arrays.fill(deep, (byte) 2);

    DecodeException e =
        catchThrowableOfType(DecodeException.class, () -> AvroBounds.check(endless, deep, 0));

    assertThat(e).hasMessageContaining("nesting");
  }

  @Test
  void randomDamageDecodesOrFailsWithAReason() {
    byte[] good = codec.encode(TOPIC, Records.request("r1", "some prompt of some length"));
    SplittableRandom random = new SplittableRandom(11);
    int failures = 0;
    for (int i = 0; i < 20_000; i++) {
      byte[] damaged = good.clone();
      for (int n = random.nextInt(1, 4); n > 0; n--) {
        damaged[5 + random.nextInt(good.length - 5)] = (byte) random.nextInt();
      }
      try {
        codec.decode(TOPIC, damaged, MirroredRequest.class);
      } catch (DecodeException e) {
        failures++;
        assertThat(e.getMessage()).isNotBlank();
      }
    }
    assertThat(failures).isPositive();
  }

  @Test
  void registryAwayIsNoFaultOfTheRecord() {
    byte[] good = codec.encode(TOPIC, Records.request("r1", "hello"));
    registry.answerNext(503, "");

    assertThatExceptionOfType(RegistryException.class)
        .isThrownBy(() -> codec.decode(TOPIC, good, MirroredRequest.class))
        .matches(RegistryException::isTransient);
  }

  @Test
  void mapsAndUnionsAreWalked() throws DecodeException {
    MirroredRequest request = Records.request("r1", null);
    request.setTags(Map.of("a", "b", "c", "d"));
    request.setMaxTokens(7);

    assertThat(codec.decode(TOPIC, codec.encode(TOPIC, request), MirroredRequest.class))
        .isEqualTo(request);
  }
}
