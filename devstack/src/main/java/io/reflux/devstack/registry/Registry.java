package io.reflux.devstack.registry;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Supplier;

/**
 * What the protocol's operations do. Reading needs no lock; changes are made one at a time, each
 * decided on a state that holds everything written before, whoever wrote it.
 */
final class Registry {
  /** The latest version. */
  static final int LATEST = -1;

  private final RegistryState state;
  private final SchemaLog log;
  private final AvroSchemas avro;
  private final Object changes = new Object();

  Registry(RegistryState state, SchemaLog log) {
    this.state = state;
    this.log = log;
    this.avro = new AvroSchemas(this::referenced);
  }

  private SchemaContent referenced(SchemaReference reference) {
    return find(reference.subject(), reference.version(), true)
        .map(StoredSchema::content)
        .orElse(null);
  }

  private <T> T change(Supplier<T> change) {
    synchronized (changes) {
      log.catchUp();
      return change.get();
    }
  }

  // ---- reading

  /** What a request may say of a schema. */
  record Draft(String text, List<SchemaReference> references) {}

  List<StoredSchema> all() {
    return state.all();
  }

  Optional<SchemaContent> content(int id) {
    return state.content(id);
  }

  int highestId() {
    return state.highestId();
  }

  /**
   * Where an id is used.
   *
   * @throws RegistryError if nobody has that id
   */
  List<StoredSchema> uses(int id, boolean deleted) {
    if (state.content(id).isEmpty()) {
      throw RegistryError.schemaNotFound(id);
    }
    return state.uses(id).stream().filter(use -> deleted || !use.deleted()).toList();
  }

  /** Versions, oldest first; an error if there are none. */
  List<StoredSchema> versions(String subject, boolean deleted) {
    List<StoredSchema> versions = visible(subject, deleted);
    if (versions.isEmpty()) {
      throw RegistryError.subjectNotFound(subject);
    }
    return versions;
  }

  StoredSchema version(String subject, int version, boolean deleted) {
    return find(subject, version, deleted)
        .orElseThrow(
            () ->
                visible(subject, deleted).isEmpty()
                    ? RegistryError.subjectNotFound(subject)
                    : RegistryError.versionNotFound(version));
  }

  /** The versions that refer to this one. */
  List<StoredSchema> referrers(StoredSchema schema) {
    return state.all().stream()
        .filter(
            other ->
                !other.deleted()
                    && other.content().references().stream()
                        .anyMatch(
                            reference ->
                                reference.subject().equals(schema.subject())
                                    && reference.version() == schema.version()))
        .toList();
  }

  /** The version that has this very schema. */
  StoredSchema lookUp(String subject, Draft draft, boolean normalise, boolean deleted) {
    List<StoredSchema> versions = versions(subject, deleted);
    SchemaContent content = canonical(subject, draft, normalise);
    return last(versions, content).orElseThrow(RegistryError::schemaNotFound);
  }

  /**
   * Why the schema may not be registered; empty if it may.
   *
   * @param version the one version to compare with; {@link Optional#empty} for those that the
   *     subject's level names
   */
  List<String> incompatibilities(
      String subject, Draft draft, Optional<Integer> version, boolean normalise) {
    SchemaContent content = canonical(subject, draft, normalise);
    CompatibilityLevel level = effectiveConfig(subject).level();
    if (version.isEmpty()) {
      return avro.incompatibilities(content, visible(subject, false), level);
    }
    Optional<StoredSchema> earlier = find(subject, version.get(), false);
    if (earlier.isEmpty() && version.get() != LATEST) {
      throw RegistryError.versionNotFound(version.get());
    }
    return avro.incompatibilities(content, earlier.stream().toList(), level);
  }

  Optional<SubjectConfig> config(String subject) {
    return state.config(subject);
  }

  SubjectConfig effectiveConfig(String subject) {
    return state.config(subject).or(() -> state.config(null)).orElse(SubjectConfig.DEFAULT);
  }

  Optional<Mode> mode(String subject) {
    return state.mode(subject);
  }

  Mode effectiveMode(String subject) {
    Mode global = state.mode(null).orElse(Mode.READWRITE);
    return global == Mode.READONLY_OVERRIDE ? global : state.mode(subject).orElse(global);
  }

  // ---- changing

  /** Registers a schema, or finds it registered. */
  StoredSchema register(String subject, Draft draft, boolean normalise) {
    requireSubject(subject);
    SchemaContent content = canonical(subject, draft, normalise);
    // Most registrations find what is there already: they need neither lock nor Kafka.
    Optional<StoredSchema> known = last(visible(subject, false), content);
    if (known.isPresent()) {
      return known.get();
    }
    return change(
        () -> {
          Optional<StoredSchema> existing = last(visible(subject, false), content);
          return existing.isPresent() ? existing.get() : append(subject, content);
        });
  }

  private StoredSchema append(String subject, SchemaContent content) {
    requireWritable(subject);
    List<String> reasons =
        avro.incompatibilities(content, visible(subject, false), effectiveConfig(subject).level());
    if (!reasons.isEmpty()) {
      throw RegistryError.incompatible(
          "Schema being registered is incompatible with an earlier schema for subject \""
              + subject
              + "\", details: "
              + reasons);
    }
    List<StoredSchema> ever = state.versions(subject);
    int version = ever.isEmpty() ? 1 : ever.get(ever.size() - 1).version() + 1;
    OptionalInt sharedId = state.id(content);
    int id = sharedId.isPresent() ? sharedId.getAsInt() : state.highestId() + 1;
    log.write(
        LogFormat.schemaKey(subject, version),
        LogFormat.schemaValue(subject, version, id, content));
    return version(subject, version, false);
  }

  /** Deletes a subject and says which versions it had. */
  List<Integer> deleteSubject(String subject, boolean permanent) {
    return change(
        () -> {
          requireWritable(subject);
          List<StoredSchema> all = versions(subject, true);
          List<StoredSchema> live = visible(subject, false);
          if (permanent && !live.isEmpty()) {
            throw RegistryError.subjectNotSoftDeleted(subject);
          }
          if (!permanent && live.isEmpty()) {
            throw RegistryError.subjectSoftDeleted(subject);
          }
          List<StoredSchema> affected = permanent ? all : live;
          affected.forEach(this::requireUnreferenced);
          if (permanent) {
            for (StoredSchema schema : affected) {
              log.write(LogFormat.schemaKey(subject, schema.version()), null);
            }
          } else {
            log.write(
                LogFormat.settingKey(LogFormat.DELETE_SUBJECT, subject),
                LogFormat.deleteSubjectValue(subject, live.get(live.size() - 1).version()));
            forgetSettings(subject);
          }
          return affected.stream().map(StoredSchema::version).toList();
        });
  }

  /** Deletes a version and says which it was. */
  int deleteVersion(String subject, int version, boolean permanent) {
    return change(
        () -> {
          requireWritable(subject);
          StoredSchema schema = version(subject, version, permanent || version != LATEST);
          if (permanent && !schema.deleted()) {
            throw RegistryError.versionNotSoftDeleted(subject, schema.version());
          }
          if (!permanent && schema.deleted()) {
            throw RegistryError.versionSoftDeleted(subject, schema.version());
          }
          requireUnreferenced(schema);
          log.write(
              LogFormat.schemaKey(subject, schema.version()),
              permanent ? null : RegistryState.deleted(schema).stored());
          if (visible(subject, false).isEmpty()) {
            forgetSettings(subject);
          }
          return schema.version();
        });
  }

  /**
   * Configures.
   *
   * @param subject null for all
   */
  void configure(String subject, Optional<CompatibilityLevel> level, Optional<Boolean> normalize) {
    if (subject != null) {
      requireSubject(subject);
    }
    change(
        () -> {
          SubjectConfig before = state.config(subject).orElseGet(() -> effectiveConfig(subject));
          log.write(
              LogFormat.settingKey(LogFormat.CONFIG, subject),
              LogFormat.configValue(
                  new SubjectConfig(
                      level.orElse(before.level()), normalize.orElse(before.normalize()))));
          return null;
        });
  }

  /**
   * Goes back to what holds for all, or to the default.
   *
   * @param subject null for all
   * @return what was configured before
   */
  SubjectConfig deleteConfig(String subject) {
    return change(
        () -> {
          Optional<SubjectConfig> before = state.config(subject);
          if (before.isEmpty() && subject != null) {
            throw RegistryError.subjectNotFound(subject);
          }
          log.write(LogFormat.settingKey(LogFormat.CONFIG, subject), null);
          return before.orElse(SubjectConfig.DEFAULT);
        });
  }

  /**
   * Sets the mode.
   *
   * @param subject null for all
   */
  void setMode(String subject, Mode mode) {
    if (subject != null) {
      requireSubject(subject);
      if (mode == Mode.READONLY_OVERRIDE) {
        throw RegistryError.invalidMode(mode + " for a subject");
      }
    }
    change(
        () -> {
          log.write(LogFormat.settingKey(LogFormat.MODE, subject), LogFormat.modeValue(mode));
          return null;
        });
  }

  /** Goes back to the global mode and says what the subject's own was. */
  Mode deleteMode(String subject) {
    return change(
        () -> {
          Mode before =
              state.mode(subject).orElseThrow(() -> RegistryError.subjectNotFound(subject));
          log.write(LogFormat.settingKey(LogFormat.MODE, subject), null);
          return before;
        });
  }

  private void forgetSettings(String subject) {
    if (state.config(subject).isPresent()) {
      log.write(LogFormat.settingKey(LogFormat.CONFIG, subject), null);
    }
    if (state.mode(subject).isPresent()) {
      log.write(LogFormat.settingKey(LogFormat.MODE, subject), null);
    }
  }

  // ---- helpers

  private SchemaContent canonical(String subject, Draft draft, boolean normalise) {
    return avro.canonical(
        draft.text(), draft.references(), normalise || effectiveConfig(subject).normalize());
  }

  private List<StoredSchema> visible(String subject, boolean deleted) {
    List<StoredSchema> visible = new ArrayList<>(state.versions(subject));
    if (!deleted) {
      visible.removeIf(StoredSchema::deleted);
    }
    return visible;
  }

  private Optional<StoredSchema> find(String subject, int version, boolean deleted) {
    List<StoredSchema> versions = visible(subject, deleted);
    if (version == LATEST) {
      return versions.isEmpty() ? Optional.empty() : Optional.of(versions.get(versions.size() - 1));
    }
    return versions.stream().filter(schema -> schema.version() == version).findFirst();
  }

  private static Optional<StoredSchema> last(List<StoredSchema> versions, SchemaContent content) {
    for (int i = versions.size() - 1; i >= 0; i--) {
      if (versions.get(i).content().equals(content)) {
        return Optional.of(versions.get(i));
      }
    }
    return Optional.empty();
  }

  private static void requireSubject(String subject) {
    // The names that stand for all subjects and for nothing in Confluent's protocol.
    if (subject.isBlank() || subject.equals("__GLOBAL") || subject.equals("__EMPTY")) {
      throw RegistryError.invalidSubject(subject);
    }
  }

  private void requireWritable(String subject) {
    Mode mode = effectiveMode(subject);
    if (mode != Mode.READWRITE) {
      throw RegistryError.notPermitted("Subject " + subject + " is in read-only mode");
    }
  }

  private void requireUnreferenced(StoredSchema schema) {
    if (!referrers(schema).isEmpty()) {
      throw RegistryError.referenced(schema.subject(), schema.version());
    }
  }
}
