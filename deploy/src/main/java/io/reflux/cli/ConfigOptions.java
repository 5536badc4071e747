package io.reflux.cli;

import io.reflux.config.Settings;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Option;

/** The options that every command with settings takes, the same everywhere. */
public final class ConfigOptions {
  @Option(
      names = "--config",
      paramLabel = "FILE",
      description = "Settings in YAML or properties; see 'reflux config print'.")
  private Path file;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description = "One setting, as in --set reflux.score.top-k=32. May be repeated.")
  private Map<String, String> set = new LinkedHashMap<>();

  @Option(
      names = "--bootstrap-servers",
      paramLabel = "HOST:PORT,...",
      description = "Kafka (reflux.kafka.bootstrap-servers).")
  private String bootstrapServers;

  @Option(
      names = "--registry",
      paramLabel = "URL",
      description = "Schema registry (reflux.registry.url).")
  private String registry;

  /**
   * The effective settings.
   *
   * @param defaults what the command prefers where nobody says otherwise
   * @param flags the command's own flags by key; null values are ignored
   */
  public Settings load(Map<String, String> defaults, Map<String, ?> flags) {
    Map<String, String> all = new LinkedHashMap<>(set);
    put(all, "reflux.kafka.bootstrap-servers", bootstrapServers);
    put(all, "reflux.registry.url", registry);
    flags.forEach((key, value) -> put(all, key, value));
    return Settings.load(file, System.getenv(), defaults, all);
  }

  private static void put(Map<String, String> all, String key, Object value) {
    if (value != null) {
      all.put(key, value.toString());
    }
  }
}
