package io.reflux.monitor.drift;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.kafka.Topics;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.state.Stores;

/**
 * The stream from divergences to reports and alerts.
 *
 * <p>Divergences are keyed by segment over several partitions, yet the figures over all traffic,
 * and one clock for all segments, need every one of them in one place. They are therefore sent
 * through an internal topic with a single partition. That is cheap: a divergence is about 150
 * bytes, and the probe compares some tens of requests a second, three orders of magnitude below
 * what one partition carries. Standby and failover work as ever: the partition moves with its
 * state.
 */
final class DriftTopology {
  private DriftTopology() {}

  static Topology build(KafkaClients clients, DriftOptions options, MeterRegistry meters) {
    KafkaConfig kafka = clients.kafka();
    StreamsBuilder builder = new StreamsBuilder();

    KStream<String, SpecificRecord> decoded =
        builder.stream(
                Topics.DIVERGENCES.fullName(kafka),
                Consumed.with(Serdes.String(), Serdes.ByteArray()))
            .process(() -> new DecodeDivergence(clients.codec(), meters));
    only(decoded, DeadLetter.class)
        .to(
            Topics.DEAD_LETTERS.fullName(kafka),
            Produced.with(Serdes.String(), clients.serde(DeadLetter.class)));

    builder.addStateStore(
        Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore(DriftWindows.WINDOWS),
            Serdes.String(),
            WindowSums.serde()));
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore(DriftWindows.STANDINGS),
            Serdes.String(),
            Standing.serde()));
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore(DriftWindows.CLOCK), Serdes.String(), Serdes.Long()));
    KStream<String, SpecificRecord> decided =
        only(decoded, Divergence.class)
            .repartition(
                Repartitioned.<String, Divergence>as("all")
                    .withKeySerde(Serdes.String())
                    .withValueSerde(underSourceSubject(clients))
                    .withNumberOfPartitions(1))
            .process(
                () -> new DriftWindows(options, meters),
                DriftWindows.WINDOWS,
                DriftWindows.STANDINGS,
                DriftWindows.CLOCK);
    only(decided, DriftReport.class)
        .to(
            Topics.DRIFT_REPORTS.fullName(kafka),
            Produced.with(Serdes.String(), clients.serde(DriftReport.class)));
    only(decided, DriftAlert.class)
        .to(
            Topics.DRIFT_ALERTS.fullName(kafka),
            Produced.with(Serdes.String(), clients.serde(DriftAlert.class)));
    return builder.build();
  }

  /** The internal topic carries what the source carries; it needs no subject of its own. */
  private static Serde<Divergence> underSourceSubject(KafkaClients clients) {
    String source = Topics.DIVERGENCES.fullName(clients.kafka());
    Serde<Divergence> serde = clients.serde(Divergence.class);
    return Serdes.serdeFrom(
        (topic, value) -> serde.serializer().serialize(source, value),
        (topic, bytes) -> serde.deserializer().deserialize(source, bytes));
  }

  private static <T extends SpecificRecord> KStream<String, T> only(
      KStream<String, SpecificRecord> stream, Class<T> type) {
    return stream.filter((key, value) -> type.isInstance(value)).mapValues(type::cast);
  }
}
