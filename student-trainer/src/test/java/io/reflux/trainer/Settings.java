package io.reflux.trainer;

import io.smallrye.config.SmallRyeConfigBuilder;
import java.util.Map;

/** Trainer configurations for tests: the defaults, and what a test changes. */
final class Settings {
  private Settings() {}

  static TrainerConfig of(Map<String, String> changes) {
    SmallRyeConfigBuilder builder =
        new SmallRyeConfigBuilder()
            .withMapping(TrainerConfig.class)
            .withDefaultValue("reflux.train.teacher", "teacher");
    changes.forEach((key, value) -> builder.withDefaultValue("reflux.train." + key, value));
    return builder.build().getConfigMapping(TrainerConfig.class);
  }
}
