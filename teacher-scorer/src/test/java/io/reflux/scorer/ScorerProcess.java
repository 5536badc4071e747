package io.reflux.scorer;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.registry.RegistryConfig;
import io.smallrye.config.PropertiesConfigSource;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.nio.file.Path;
import java.util.Map;

/** A scorer in a process of its own, for tests to kill. */
final class ScorerProcess {
  private ScorerProcess() {}

  public static void main(String[] args) {
    var config =
        new SmallRyeConfigBuilder()
            .withMapping(KafkaConfig.class)
            .withMapping(RegistryConfig.class)
            .withConverter(Path.class, 200, Configs::path)
            .withSources(
                new PropertiesConfigSource(
                    Map.of(
                        "reflux.kafka.bootstrap-servers", args[1],
                        "reflux.kafka.prefix", args[2],
                        "reflux.registry.url", args[3]),
                    "arguments",
                    100))
            .build();
    KafkaClients clients =
        new KafkaClients(
            config.getConfigMapping(KafkaConfig.class),
            config.getConfigMapping(RegistryConfig.class));
    ScorerService scorer =
        new ScorerService(
            Configs.of(
                Map.of(
                    "teacher", args[0],
                    "max-response-tokens", "12",
                    "max-in-flight", "64",
                    "http.port", "-1",
                    "instance", "killed")),
            clients,
            new SimpleMeterRegistry());
    scorer.start();
    scorer.termination().toCompletableFuture().join();
  }
}
