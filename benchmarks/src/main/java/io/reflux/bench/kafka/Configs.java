package io.reflux.bench.kafka;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.registry.RegistryConfig;
import io.reflux.scorer.ScorerConfig;
import io.reflux.trainer.TrainerConfig;
import io.smallrye.config.PropertiesConfigSource;
import io.smallrye.config.SmallRyeConfig;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;

/** The services' settings from keys and values; whatever is not named has its default. */
public final class Configs {
  private Configs() {}

  /** Of the scorer, by key without {@code reflux.score.}. */
  public static ScorerConfig scorer(Map<String, String> values) {
    return of(ScorerConfig.class, "reflux.score.", values);
  }

  /** Of the trainer, by key without {@code reflux.train.}. */
  public static TrainerConfig trainer(Map<String, String> values) {
    return of(TrainerConfig.class, "reflux.train.", values);
  }

  /**
   * Of any service.
   *
   * @param prefix of every key, with the last dot
   */
  public static <T> T of(Class<T> mapping, String prefix, Map<String, String> values) {
    Map<String, String> full = new HashMap<>();
    values.forEach((key, value) -> full.put(prefix + key, value));
    return build(full, mapping).getConfigMapping(mapping);
  }

  /** Clients of a broker and a registry. */
  public static KafkaClients clients(String bootstrapServers, String prefix, String registryUrl) {
    SmallRyeConfig config =
        build(
            Map.of(
                "reflux.kafka.bootstrap-servers", bootstrapServers,
                "reflux.kafka.prefix", prefix,
                "reflux.registry.url", registryUrl),
            KafkaConfig.class,
            RegistryConfig.class);
    return new KafkaClients(
        config.getConfigMapping(KafkaConfig.class), config.getConfigMapping(RegistryConfig.class));
  }

  private static SmallRyeConfig build(Map<String, String> values, Class<?>... mappings) {
    SmallRyeConfigBuilder builder =
        new SmallRyeConfigBuilder()
            .withConverter(Path.class, 200, text -> text.isEmpty() ? null : Path.of(text))
            .withConverter(Duration.class, 200, Configs::duration)
            .withSources(new PropertiesConfigSource(values, "benchmark", 100));
    for (Class<?> mapping : mappings) {
      builder.withMapping(mapping);
    }
    return builder.build();
  }

  /** {@code 20ms}, {@code 15s}, {@code 2m}, {@code PT2M}. */
  private static Duration duration(String text) {
    if (text.endsWith("ms")) {
      return Duration.ofMillis(Long.parseLong(text.substring(0, text.length() - 2)));
    }
    return Duration.parse(text.startsWith("P") ? text : "PT" + text);
  }
}
