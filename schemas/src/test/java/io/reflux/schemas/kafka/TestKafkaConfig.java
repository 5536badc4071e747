package io.reflux.schemas.kafka;

import java.util.Map;

/** Configuration for tests; nothing listens there unless a test says so. */
public record TestKafkaConfig(
    String bootstrapServers, String prefix, short replicationFactor, Map<String, String> properties)
    implements KafkaConfig {

  public static TestKafkaConfig of(String bootstrapServers) {
    return new TestKafkaConfig(bootstrapServers, "t.", (short) 1, Map.of());
  }
}
