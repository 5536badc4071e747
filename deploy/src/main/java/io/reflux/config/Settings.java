package io.reflux.config;

import io.reflux.monitor.web.MonitorConfig;
import io.reflux.producers.MirrorConfig;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.registry.RegistryConfig;
import io.reflux.schemas.service.RefluxException;
import io.reflux.scorer.ScorerConfig;
import io.reflux.serving.ServerConfig;
import io.reflux.serving.sidecar.SidecarConfig;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotsConfig;
import io.reflux.trainer.TrainerConfig;
import io.smallrye.config.ConfigValidationException;
import io.smallrye.config.EnvConfigSource;
import io.smallrye.config.PropertiesConfigSource;
import io.smallrye.config.SmallRyeConfig;
import io.smallrye.config.SmallRyeConfigBuilder;
import io.smallrye.config.source.yaml.YamlConfigSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.format.DateTimeParseException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.eclipse.microprofile.config.ConfigValue;
import org.eclipse.microprofile.config.spi.ConfigSource;

/**
 * The effective settings. Later sources win: built-in defaults, the command's own defaults, the
 * file, environment variables ({@code REFLUX_KAFKA_BOOTSTRAP_SERVERS}), then flags.
 */
public final class Settings {
  private static final List<Class<?>> MAPPINGS =
      List.of(
          KafkaConfig.class,
          RegistryConfig.class,
          MirrorConfig.class,
          ScorerConfig.class,
          TrainerConfig.class,
          ServerConfig.class,
          SidecarConfig.class,
          MonitorConfig.class,
          SnapshotsConfig.class);

  private static final Pattern SECRET =
      Pattern.compile("password|secret|credential|token$|jaas|api-?key|ssl\\.keystore\\.key");
  private static final Pattern SOURCE = Pattern.compile("\\w+ConfigSource\\[source=(.*)]");
  private static final Pattern DURATION = Pattern.compile("(\\d+(?:\\.\\d+)?)\\s*(ms|s|m|h|d)?");

  private final SmallRyeConfig config;

  private Settings(SmallRyeConfig config) {
    this.config = config;
  }

  /**
   * Reads the settings.
   *
   * @param file YAML or properties by its name, or null
   * @param environment variables, normally {@code System.getenv()}
   * @param defaults what the command prefers where nobody says otherwise
   * @param flags what the command line says
   * @throws RefluxException with one line naming the key, the value and what was expected
   */
  public static Settings load(
      Path file,
      Map<String, String> environment,
      Map<String, String> defaults,
      Map<String, String> flags) {
    SmallRyeConfigBuilder builder =
        new SmallRyeConfigBuilder()
            .addDefaultInterceptors()
            // An empty text is how an absent optional value arrives.
            .withConverter(Path.class, 200, text -> text.isBlank() ? null : Path.of(text))
            .withConverter(Duration.class, 200, Settings::parseDuration)
            .withSources(new EnvConfigSource(refluxOnly(environment), 300))
            .withSources(new PropertiesConfigSource(flags, "the command line", 500))
            .withSources(new PropertiesConfigSource(defaults, "the command's defaults", 50));
    if (file != null) {
      builder.withSources(fileSource(file));
    }
    MAPPINGS.forEach(builder::withMapping);
    try {
      return new Settings(builder.build());
    } catch (ConfigValidationException e) {
      throw new RefluxException(describe(e), e);
    }
  }

  /** Settings of one room. */
  public <T> T get(Class<T> mapping) {
    return config.getConfigMapping(mapping);
  }

  /** Kafka and registry, ready to open clients. */
  public KafkaClients clients() {
    return new KafkaClients(get(KafkaConfig.class), get(RegistryConfig.class));
  }

  /** The same, with the keys that snapshots are signed and believed by. */
  public SnapshotAccess snapshots(KafkaClients clients) {
    return SnapshotAccess.of(clients, get(SnapshotsConfig.class));
  }

  /** Every key that has a value, in order, with secrets masked, and where the value came from. */
  public List<Entry> effective() {
    Map<String, Entry> entries = new TreeMap<>();
    for (String name : config.getPropertyNames()) {
      if (!name.startsWith("reflux.")) {
        continue;
      }
      ConfigValue value = config.getConfigValue(name);
      if (value.getValue() == null) {
        continue;
      }
      boolean secret = SECRET.matcher(name.toLowerCase(java.util.Locale.ROOT)).find();
      entries.put(
          name,
          new Entry(name, secret ? "********" : value.getValue(), source(value.getSourceName())));
    }
    return List.copyOf(entries.values());
  }

  /**
   * One effective setting.
   *
   * @param source where the value came from, for people
   */
  public record Entry(String key, String value, String source) {}

  /**
   * {@code 250ms}, {@code 5s}, {@code 2m}, {@code 1h}, {@code 7d}, a bare number of seconds, or
   * ISO-8601.
   */
  public static Duration parseDuration(String text) {
    Matcher matcher = DURATION.matcher(text.trim());
    if (matcher.matches()) {
      double amount = Double.parseDouble(matcher.group(1));
      long unitMillis =
          switch (matcher.group(2) == null ? "s" : matcher.group(2)) {
            case "ms" -> 1L;
            case "m" -> 60_000L;
            case "h" -> 3_600_000L;
            case "d" -> 86_400_000L;
            default -> 1_000L;
          };
      return Duration.ofMillis(Math.round(amount * unitMillis));
    }
    try {
      return Duration.parse(text.trim());
    } catch (DateTimeParseException e) {
      throw new IllegalArgumentException(text + " (expected: a duration such as 250ms, 5s, 2m)");
    }
  }

  private static String source(String name) {
    if (name == null || name.contains("DefaultValues") || name.startsWith("DefaultValues")) {
      return "default";
    }
    if (name.startsWith("EnvConfigSource")) {
      return "environment";
    }
    Matcher wrapped = SOURCE.matcher(name);
    return wrapped.matches() ? wrapped.group(1) : name;
  }

  private static Map<String, String> refluxOnly(Map<String, String> environment) {
    Map<String, String> kept = new LinkedHashMap<>();
    environment.forEach(
        (name, value) -> {
          // The launcher's own variables share the prefix but are no settings.
          if (name.startsWith("REFLUX_")
              && !List.of("REFLUX_HEAP", "REFLUX_NO_BUILD", "REFLUX_JAVA_OPTS").contains(name)) {
            kept.put(name, value);
          }
        });
    return kept;
  }

  private static ConfigSource fileSource(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new RefluxException("--config: " + file + " (expected: a file that can be read)");
    }
    try {
      if (file.getFileName().toString().endsWith(".properties")) {
        Properties properties = new Properties();
        try (var reader = Files.newBufferedReader(file)) {
          properties.load(reader);
        }
        Map<String, String> values = new LinkedHashMap<>();
        properties.stringPropertyNames().forEach(k -> values.put(k, properties.getProperty(k)));
        return new PropertiesConfigSource(values, file.toString(), 200);
      }
      return new YamlConfigSource(file.toString(), Files.readString(file), 200);
    } catch (IOException | RuntimeException e) {
      String reason = String.valueOf(e.getMessage()).lines().findFirst().orElse("unreadable");
      throw new RefluxException(
          "--config: " + file + ": " + reason + " (expected: YAML or properties)", e);
    }
  }

  private static String describe(ConfigValidationException e) {
    StringBuilder lines = new StringBuilder();
    for (int i = 0; i < e.getProblemCount(); i++) {
      String message = e.getProblem(i).getMessage().replaceFirst("^SRCFG\\d+: ", "");
      lines.append(i == 0 ? "configuration: " : "; ").append(message);
    }
    return lines.toString();
  }
}
