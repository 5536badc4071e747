package io.reflux.scorer;

import io.smallrye.config.PropertiesConfigSource;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.stream.Collectors;

/** Configuration by key, without the prefix. */
final class Configs {
  private Configs() {}

  static ScorerConfig of(Map<String, String> values) {
    Map<String, String> full =
        values.entrySet().stream()
            .collect(Collectors.toMap(e -> "reflux.score." + e.getKey(), Map.Entry::getValue));
    return new SmallRyeConfigBuilder()
        .withMapping(ScorerConfig.class)
        .withConverter(Path.class, 200, Configs::path)
        .withConverter(Duration.class, 200, Configs::duration)
        .withSources(new PropertiesConfigSource(full, "test", 100))
        .build()
        .getConfigMapping(ScorerConfig.class);
  }

  /** Empty means absent, as for text. */
  static Path path(String text) {
    return text.isEmpty() ? null : Path.of(text);
  }

  /** As the launcher reads them, as far as the defaults go. */
  private static Duration duration(String text) {
    return text.endsWith("ms")
        ? Duration.ofMillis(Long.parseLong(text.substring(0, text.length() - 2)))
        : Duration.parse("PT" + text);
  }
}
