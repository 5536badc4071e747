package io.reflux.schemas.registry;

import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.registry.DecodeException.Reason;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.avro.specific.SpecificDatumWriter;
import org.apache.avro.specific.SpecificRecord;
import org.apache.avro.util.ClassSecurityValidator;

/**
 * Values in Confluent's wire format: byte 0, the schema's id as 4 bytes big-endian, Avro binary.
 * Safe for use by many threads.
 *
 * <p>Subjects are named {@code <topic>-value}. Schemas are registered when a topic is first written
 * to.
 */
public final class RecordCodec {
  private static final byte MAGIC = 0;
  private static final int HEADER_BYTES = 5;

  static {
    trustOwnRecords();
  }

  private record ReaderKey(int writerId, Class<?> type) {}

  private final RegistryClient registry;
  private final Map<ReaderKey, SpecificDatumReader<?>> readers = new ConcurrentHashMap<>();
  private final Map<Class<?>, SpecificDatumWriter<?>> writers = new ConcurrentHashMap<>();

  public RecordCodec(RegistryClient registry) {
    this.registry = Objects.requireNonNull(registry, "registry");
  }

  /** Avro builds only classes that it was told to trust; these are generated from our schemas. */
  private static void trustOwnRecords() {
    String trusted = MirroredRequest.class.getPackageName();
    ClassSecurityValidator.setGlobal(
        ClassSecurityValidator.composite(
            ClassSecurityValidator.getGlobal(), type -> type.getPackageName().equals(trusted)));
  }

  /** The registry behind it. */
  public RegistryClient registry() {
    return registry;
  }

  /** The subject that a topic's values are registered under. */
  public static String subject(String topic) {
    return topic + "-value";
  }

  /**
   * The wire bytes of a record.
   *
   * @param topic full name, with the prefix
   * @throws RegistryException when the registry does not answer or refuses the schema
   * @throws AvroRuntimeException when a field that may not be null is
   */
  public byte[] encode(String topic, SpecificRecord record) {
    int id = registry.register(subject(topic), record.getSchema());
    ByteArrayOutputStream out = new ByteArrayOutputStream(512);
    out.writeBytes(ByteBuffer.allocate(HEADER_BYTES).put(MAGIC).putInt(id).array());
    try {
      BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
      writer(record.getClass()).write(record, encoder);
      encoder.flush();
    } catch (IOException e) {
      throw new UncheckedIOException("write to memory failed", e);
    }
    return out.toByteArray();
  }

  @SuppressWarnings("unchecked") // the writer of a class writes records of that class
  private SpecificDatumWriter<SpecificRecord> writer(Class<?> type) {
    return (SpecificDatumWriter<SpecificRecord>)
        writers.computeIfAbsent(
            type, t -> new SpecificDatumWriter<>(schemaOf(t), SpecificData.getForClass(t)));
  }

  /**
   * The record in wire bytes, resolved from its writer's schema to that of {@code type}.
   *
   * @param topic full name, for messages
   * @throws DecodeException when these bytes are not such a record, and never will be
   * @throws RegistryException when the registry does not answer; the bytes may be fine
   */
  public <T extends SpecificRecord> T decode(String topic, byte[] bytes, Class<T> type)
      throws DecodeException {
    if (bytes == null || bytes.length == 0) {
      throw new DecodeException(Reason.EMPTY, topic + ": no value");
    }
    if (bytes[0] != MAGIC) {
      throw new DecodeException(
          Reason.BAD_MAGIC,
          topic + ": first byte: " + bytes[0] + " (expected: 0, Confluent's wire format)");
    }
    if (bytes.length < HEADER_BYTES) {
      throw new DecodeException(
          Reason.TRUNCATED, topic + ": " + bytes.length + " bytes (expected: at least 5)");
    }
    int id = ByteBuffer.wrap(bytes, 1, 4).getInt();
    SpecificDatumReader<T> reader = reader(topic, id, type);
    AvroBounds.check(reader.getSchema(), bytes, HEADER_BYTES);
    try {
      return reader.read(
          null,
          DecoderFactory.get()
              .binaryDecoder(bytes, HEADER_BYTES, bytes.length - HEADER_BYTES, null));
    } catch (IOException | AvroRuntimeException e) {
      throw new DecodeException(
          Reason.MALFORMED,
          topic + ": " + type.getSimpleName() + " of schema " + id + ": " + e.getMessage(),
          e);
    }
  }

  @SuppressWarnings("unchecked") // a reader is kept under the class that it builds
  private <T extends SpecificRecord> SpecificDatumReader<T> reader(
      String topic, int id, Class<T> type) throws DecodeException {
    ReaderKey key = new ReaderKey(id, type);
    SpecificDatumReader<?> known = readers.get(key);
    if (known == null) {
      known = newReader(topic, id, type);
      readers.put(key, known);
    }
    return (SpecificDatumReader<T>) known;
  }

  private <T extends SpecificRecord> SpecificDatumReader<T> newReader(
      String topic, int id, Class<T> type) throws DecodeException {
    Schema writer =
        registry
            .byId(id)
            .orElseThrow(
                () ->
                    new DecodeException(
                        Reason.UNKNOWN_SCHEMA,
                        topic
                            + ": schema id "
                            + id
                            + " (expected: an Avro schema known to "
                            + registry.address()
                            + ")"));
    Schema reader = schemaOf(type);
    if (writer.getType() != Schema.Type.RECORD
        || !writer.getFullName().equals(reader.getFullName())) {
      throw new DecodeException(
          Reason.WRONG_RECORD,
          topic + ": " + writer.getFullName() + " (expected: " + reader.getFullName() + ")");
    }
    SchemaCompatibility.SchemaPairCompatibility pair =
        SchemaCompatibility.checkReaderWriterCompatibility(reader, writer);
    if (pair.getType() != SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE) {
      throw new DecodeException(
          Reason.INCOMPATIBLE_SCHEMA,
          topic
              + ": schema "
              + id
              + " does not resolve to our "
              + reader.getName()
              + ": "
              + pair.getResult().getIncompatibilities());
    }
    return new SpecificDatumReader<>(writer, reader, SpecificData.getForClass(type));
  }

  private static Schema schemaOf(Class<?> type) {
    return SpecificData.get().getSchema(type);
  }
}
