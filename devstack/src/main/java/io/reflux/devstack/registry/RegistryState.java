package io.reflux.devstack.registry;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the log says so far. Safe for use by many threads. */
final class RegistryState {
  private static final Logger LOG = LoggerFactory.getLogger(RegistryState.class);
  private static final String GLOBAL = ""; // no subject is named so

  private final TreeMap<String, TreeMap<Integer, StoredSchema>> subjects = new TreeMap<>();
  private final Map<Integer, SchemaContent> contents = new HashMap<>();
  private final Map<SchemaContent, Integer> ids = new HashMap<>();
  private final Map<String, SubjectConfig> configs = new HashMap<>();
  private final Map<String, Mode> modes = new HashMap<>();
  private int highestId;

  /**
   * Takes in one record of the log.
   *
   * @param value null for a tombstone
   */
  synchronized void apply(JsonNode key, JsonNode value) {
    String subject = key.path("subject").isTextual() ? key.path("subject").asText() : GLOBAL;
    switch (key.path("keytype").asText()) {
      case LogFormat.SCHEMA -> {
        if (value == null) {
          remove(subject, key.path("version").asInt());
        } else {
          put(LogFormat.readSchema(value));
        }
      }
      case LogFormat.DELETE_SUBJECT -> {
        if (value != null) {
          softDelete(subject, value.path("version").asInt());
        }
      }
      case LogFormat.CLEAR_SUBJECT -> subjects.remove(subject);
      case LogFormat.CONFIG -> {
        if (value == null) {
          configs.remove(subject);
        } else {
          configs.put(
              subject,
              new SubjectConfig(
                  CompatibilityLevel.parse(
                      value
                          .path("compatibilityLevel")
                          .asText(SubjectConfig.DEFAULT.level().name())),
                  value.path("normalize").asBoolean(false)));
        }
      }
      case LogFormat.MODE -> {
        if (value == null) {
          modes.remove(subject);
        } else {
          modes.put(subject, Mode.parse(value.path("mode").asText()));
        }
      }
      default -> {
        // NOOP, and what newer registries add: nothing of it changes a schema.
      }
    }
  }

  private void put(StoredSchema schema) {
    SchemaContent known = contents.putIfAbsent(schema.id(), schema.content());
    if (known != null && !known.equals(schema.content())) {
      LOG.error(
          "schema id {}: two different schemas ({} version {} is the second; expected: one registry"
              + " at a time writing the topic)",
          schema.id(),
          schema.subject(),
          schema.version());
    }
    ids.putIfAbsent(schema.content(), schema.id());
    highestId = Math.max(highestId, schema.id());
    subjects.computeIfAbsent(schema.subject(), s -> new TreeMap<>()).put(schema.version(), schema);
  }

  private void remove(String subject, int version) {
    TreeMap<Integer, StoredSchema> versions = subjects.get(subject);
    StoredSchema removed = versions == null ? null : versions.remove(version);
    if (removed == null) {
      return;
    }
    if (versions.isEmpty()) {
      subjects.remove(subject);
    }
    if (uses(removed.id()).isEmpty()) {
      contents.remove(removed.id());
      ids.remove(removed.content(), removed.id());
    }
  }

  private void softDelete(String subject, int upTo) {
    TreeMap<Integer, StoredSchema> versions = subjects.get(subject);
    if (versions == null) {
      return;
    }
    versions.headMap(upTo, true).replaceAll((version, schema) -> deleted(schema));
  }

  /** The same version, soft-deleted. */
  static StoredSchema deleted(StoredSchema schema) {
    ObjectNode stored = schema.stored().deepCopy();
    stored.put("deleted", true);
    return new StoredSchema(
        schema.subject(), schema.version(), schema.id(), schema.content(), true, stored);
  }

  /** All versions of all subjects in order, soft-deleted ones too. */
  synchronized List<StoredSchema> all() {
    List<StoredSchema> all = new ArrayList<>();
    subjects.values().forEach(versions -> all.addAll(versions.values()));
    return all;
  }

  /** All versions in order, soft-deleted ones too; empty for an unknown subject. */
  synchronized List<StoredSchema> versions(String subject) {
    TreeMap<Integer, StoredSchema> versions = subjects.get(subject);
    return versions == null ? List.of() : List.copyOf(versions.values());
  }

  /** Every version that has this id, soft-deleted ones too. */
  synchronized List<StoredSchema> uses(int id) {
    return all().stream().filter(schema -> schema.id() == id).toList();
  }

  synchronized Optional<SchemaContent> content(int id) {
    return Optional.ofNullable(contents.get(id));
  }

  synchronized OptionalInt id(SchemaContent content) {
    Integer id = ids.get(content);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  synchronized int highestId() {
    return highestId;
  }

  /**
   * What is set for the subject itself.
   *
   * @param subject null for the global setting
   */
  synchronized Optional<SubjectConfig> config(String subject) {
    return Optional.ofNullable(configs.get(subject == null ? GLOBAL : subject));
  }

  /**
   * What is set for the subject itself.
   *
   * @param subject null for the global setting
   */
  synchronized Optional<Mode> mode(String subject) {
    return Optional.ofNullable(modes.get(subject == null ? GLOBAL : subject));
  }
}
