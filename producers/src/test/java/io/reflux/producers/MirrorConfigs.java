package io.reflux.producers;

import io.smallrye.config.PropertiesConfigSource;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.time.Duration;
import java.util.Map;
import java.util.stream.Collectors;

/** Configuration by key, without the prefix. */
final class MirrorConfigs {
  private MirrorConfigs() {}

  static MirrorConfig of(Map<String, String> values) {
    Map<String, String> full =
        values.entrySet().stream()
            .collect(Collectors.toMap(e -> "reflux.mirror." + e.getKey(), Map.Entry::getValue));
    return new SmallRyeConfigBuilder()
        .withMapping(MirrorConfig.class)
        // As the launcher reads them, as far as the defaults go.
        .withConverter(Duration.class, 200, text -> Duration.parse("PT" + text))
        .withSources(new PropertiesConfigSource(full, "test", 100))
        .build()
        .getConfigMapping(MirrorConfig.class);
  }
}
