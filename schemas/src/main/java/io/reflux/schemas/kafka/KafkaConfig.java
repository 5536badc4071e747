package io.reflux.schemas.kafka;

import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.util.Map;

/** How every service reaches Kafka. */
@ConfigMapping(prefix = "reflux.kafka")
public interface KafkaConfig {
  /** Comma-separated {@code host:port} pairs. */
  @WithDefault("localhost:9092")
  String bootstrapServers();

  /** Put before every topic, group and transactional id, so that several loops share a cluster. */
  @WithDefault("reflux.")
  String prefix();

  /** Replicas of each topic that {@code reflux topics create} makes. */
  @WithDefault("1")
  short replicationFactor();

  /** Any Kafka client setting, passed through untouched, such as {@code security.protocol}. */
  Map<String, String> properties();
}
