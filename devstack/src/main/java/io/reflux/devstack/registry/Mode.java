package io.reflux.devstack.registry;

import java.util.Locale;

/** Whether schemas may be registered and deleted. */
enum Mode {
  READWRITE,
  READONLY,
  /** Read-only for all subjects, whatever they say themselves. */
  READONLY_OVERRIDE;

  static Mode parse(String name) {
    for (Mode mode : values()) {
      if (mode.name().equals(name.toUpperCase(Locale.ROOT))) {
        return mode;
      }
    }
    throw RegistryError.invalidMode(name);
  }
}
