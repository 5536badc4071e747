package io.reflux.schemas.kafka;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.avro.specific.SpecificRecord;

/**
 * A topic of the catalogue.
 *
 * @param name without the configured prefix
 * @param type the one record that it holds
 * @param key what the record key is, for people
 * @param retention how long records stay; {@link #FOREVER} for no limit
 * @param compacted whether only the newest record of a key must stay
 * @param maxRecordBytes largest value in one Kafka record, before compression; a larger one is cut
 *     into pieces by {@link TopicWriter}, or refused where the topic is compacted, which would keep
 *     only the last piece
 * @param purpose one line for people
 */
public record Topic<T extends SpecificRecord>(
    String name,
    Class<T> type,
    String key,
    int partitions,
    Duration retention,
    boolean compacted,
    int maxRecordBytes,
    String purpose) {

  /** No limit. */
  public static final Duration FOREVER = Duration.ofMillis(-1);

  /** What brokers take in one batch unless told otherwise. */
  private static final int BROKER_DEFAULT_MAX_BYTES = 1_048_588;

  /** Room for key, headers and the batch's own header beside the value. */
  private static final int ENVELOPE_BYTES = 64 << 10;

  /** Name on the cluster: prefix and name. */
  public String fullName(KafkaConfig kafka) {
    return kafka.prefix() + name;
  }

  /** The topic's settings on the broker where they are not the broker's defaults. */
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    boolean forever = retention.equals(FOREVER);
    settings.put("cleanup.policy", compacted ? (forever ? "compact" : "compact,delete") : "delete");
    settings.put("retention.ms", Long.toString(retention.toMillis()));
    if (maxRecordBytes + ENVELOPE_BYTES > BROKER_DEFAULT_MAX_BYTES) {
      settings.put("max.message.bytes", Integer.toString(maxRecordBytes + ENVELOPE_BYTES));
    }
    return settings;
  }
}
