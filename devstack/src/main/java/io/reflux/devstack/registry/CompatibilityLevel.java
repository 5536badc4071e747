package io.reflux.devstack.registry;

import java.util.Locale;

/** What a new schema must be able to do with the earlier ones of its subject. */
enum CompatibilityLevel {
  NONE(false, false, false),
  BACKWARD(true, false, false),
  BACKWARD_TRANSITIVE(true, false, true),
  FORWARD(false, true, false),
  FORWARD_TRANSITIVE(false, true, true),
  FULL(true, true, false),
  FULL_TRANSITIVE(true, true, true);

  private final boolean readsEarlier;
  private final boolean readByEarlier;
  private final boolean transitive;

  CompatibilityLevel(boolean readsEarlier, boolean readByEarlier, boolean transitive) {
    this.readsEarlier = readsEarlier;
    this.readByEarlier = readByEarlier;
    this.transitive = transitive;
  }

  static CompatibilityLevel parse(String name) {
    for (CompatibilityLevel level : values()) {
      if (level.name().equals(name.toUpperCase(Locale.ROOT))) {
        return level;
      }
    }
    throw RegistryError.invalidLevel(name);
  }

  /** The new schema reads records of the earlier ones. */
  boolean readsEarlier() {
    return readsEarlier;
  }

  /** The earlier schemas read records of the new one. */
  boolean readByEarlier() {
    return readByEarlier;
  }

  /** All earlier versions count, not only the latest. */
  boolean transitive() {
    return transitive;
  }
}
