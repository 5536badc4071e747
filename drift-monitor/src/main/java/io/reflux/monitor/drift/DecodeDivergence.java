package io.reflux.monitor.drift;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.schemas.registry.RecordCodec;
import java.nio.ByteBuffer;
import java.time.Instant;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/** Turns bytes into divergences, and what cannot be read into dead letters in the same stream. */
final class DecodeDivergence implements Processor<String, byte[], String, SpecificRecord> {
  private static final int KEPT_BYTES = 512 * 1024;

  private final RecordCodec codec;
  private final MeterRegistry meters;
  private ProcessorContext<String, SpecificRecord> context;

  DecodeDivergence(RecordCodec codec, MeterRegistry meters) {
    this.codec = codec;
    this.meters = meters;
  }

  @Override
  public void init(ProcessorContext<String, SpecificRecord> newContext) {
    context = newContext;
  }

  @Override
  public void process(Record<String, byte[]> record) {
    RecordMetadata at =
        context
            .recordMetadata()
            .orElseThrow(() -> new IllegalStateException("a source record without coordinates"));
    try {
      Divergence divergence = codec.decode(at.topic(), record.value(), Divergence.class);
      context.forward(record.withKey(divergence.getSegment()).withValue(divergence));
    } catch (DecodeException e) {
      meters.counter("drift_undecodable_total").increment();
      context.forward(
          record
              .withKey(at.topic() + "/" + at.partition() + "/" + at.offset())
              .withValue(deadLetter(record, at, e)));
    }
  }

  private DeadLetter deadLetter(
      Record<String, byte[]> record, RecordMetadata at, DecodeException cause) {
    byte[] value = record.value() == null ? new byte[0] : record.value();
    return DeadLetter.newBuilder()
        .setService("monitor")
        .setTopic(at.topic())
        .setPartition(at.partition())
        .setOffset(at.offset())
        .setKey(record.key())
        .setValue(ByteBuffer.wrap(value, 0, Math.min(value.length, KEPT_BYTES)))
        .setValueSize(value.length)
        .setReason(cause.reason().code())
        .setMessage(String.valueOf(cause.getMessage()))
        .setAttempts(1)
        .setFailedAt(Instant.ofEpochMilli(context.currentSystemTimeMs()))
        .build();
  }
}
