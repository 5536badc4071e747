package io.reflux.snapshots;

import io.reflux.schemas.avro.FleetReport;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What fleets last said of themselves. */
public final class FleetReports {
  private static final Logger log = LoggerFactory.getLogger(FleetReports.class);

  private FleetReports() {}

  /**
   * A report.
   *
   * @param at when it was last sent or repeated; living instances repeat theirs each minute
   */
  public record Heard(FleetReport report, Instant at) {}

  /**
   * The latest of every instance and channel, in the order of their names; of a loop older than
   * fleets' reports, none.
   *
   * @throws SnapshotException if Kafka fails
   */
  public static List<Heard> read(KafkaClients clients) {
    String topic = Topics.FLEET_REPORTS.fullName(clients.kafka());
    Map<String, Heard> latest = new TreeMap<>();
    if (!exists(clients, topic)) {
      return List.of();
    }
    TopicScan.whole(
        clients,
        topic,
        record -> {
          if (record.value() == null) {
            latest.remove(record.key());
            return;
          }
          try {
            latest.put(
                record.key(),
                new Heard(
                    clients.codec().decode(topic, record.value(), FleetReport.class),
                    Instant.ofEpochMilli(record.timestamp())));
          } catch (DecodeException e) {
            log.warn("{}: {}", SnapshotCatalog.coordinates(record), e.getMessage());
          }
        });
    return List.copyOf(latest.values());
  }

  private static boolean exists(KafkaClients clients, String topic) {
    try (Consumer<String, byte[]> consumer =
        clients.consumer("fleet-reports-reader", null, Map.of())) {
      return consumer.listTopics().containsKey(topic);
    } catch (KafkaException e) {
      throw TopicScan.failure(topic, e);
    }
  }
}
