package io.reflux.monitor.web;

import io.smallrye.config.SmallRyeConfigBuilder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

/** Configurations as the launcher reads them, as far as these tests need. */
final class Configs {
  private Configs() {}

  static MonitorConfig of(Map<String, String> values) {
    return new SmallRyeConfigBuilder()
        .withMapping(MonitorConfig.class)
        .withConverter(Path.class, 200, Path::of)
        .withConverter(Duration.class, 200, Configs::duration)
        .withDefaultValues(values)
        .build()
        .getConfigMapping(MonitorConfig.class);
  }

  private static Duration duration(String text) {
    return text.endsWith("ms")
        ? Duration.ofMillis(Long.parseLong(text.substring(0, text.length() - 2)))
        : Duration.parse("PT" + text);
  }
}
