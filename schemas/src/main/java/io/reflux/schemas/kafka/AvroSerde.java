package io.reflux.schemas.kafka;

import io.reflux.schemas.registry.DecodeException;
import io.reflux.schemas.registry.RecordCodec;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serializer;

/** One record type as a Kafka serde; null stays null. It does not put pieces together. */
final class AvroSerde<T extends SpecificRecord> implements Serde<T> {
  private final RecordCodec codec;
  private final Class<T> type;

  AvroSerde(RecordCodec codec, Class<T> type) {
    this.codec = codec;
    this.type = type;
  }

  @Override
  public Serializer<T> serializer() {
    return (topic, value) -> value == null ? null : codec.encode(topic, value);
  }

  @Override
  public Deserializer<T> deserializer() {
    return (topic, bytes) -> {
      if (bytes == null) {
        return null;
      }
      try {
        return codec.decode(topic, bytes, type);
      } catch (DecodeException e) {
        throw new SerializationException(e.getMessage(), e);
      }
    };
  }
}
