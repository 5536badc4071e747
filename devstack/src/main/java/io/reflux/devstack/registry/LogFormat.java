package io.reflux.devstack.registry;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * The JSON that Confluent's registry keeps in {@code _schemas}.
 *
 * <p>Keys are compared by their bytes when Kafka compacts, so the order of their fields matters.
 */
final class LogFormat {
  static final String SCHEMA = "SCHEMA";
  static final String CONFIG = "CONFIG";
  static final String MODE = "MODE";
  static final String DELETE_SUBJECT = "DELETE_SUBJECT";
  static final String CLEAR_SUBJECT = "CLEAR_SUBJECT";

  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

  private final ObjectMapper mapper =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  byte[] bytes(JsonNode node) {
    try {
      return mapper.writeValueAsBytes(node);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a JSON tree cannot be written", e);
    }
  }

  JsonNode parse(byte[] json) throws IOException {
    return mapper.readTree(json);
  }

  static ObjectNode schemaKey(String subject, int version) {
    return key(SCHEMA, subject).put("version", version).put("magic", 1);
  }

  /**
   * The key of a setting.
   *
   * @param subject null for the global one
   */
  static ObjectNode settingKey(String keyType, String subject) {
    return key(keyType, subject).put("magic", 0);
  }

  private static ObjectNode key(String keyType, String subject) {
    return NODES.objectNode().put("keytype", keyType).put("subject", subject);
  }

  static ObjectNode schemaValue(String subject, int version, int id, SchemaContent content) {
    ObjectNode value =
        NODES.objectNode().put("subject", subject).put("version", version).put("id", id);
    putTypeAndReferences(value, content);
    return value.put("schema", content.text()).put("deleted", false);
  }

  /** Avro goes without saying, and so do no references: older clients know neither field. */
  static void putTypeAndReferences(ObjectNode node, SchemaContent content) {
    if (!content.type().equals(SchemaContent.AVRO)) {
      node.put("schemaType", content.type());
    }
    if (!content.references().isEmpty()) {
      ArrayNode references = node.putArray("references");
      for (SchemaReference reference : content.references()) {
        references
            .addObject()
            .put("name", reference.name())
            .put("subject", reference.subject())
            .put("version", reference.version());
      }
    }
  }

  static ObjectNode deleteSubjectValue(String subject, int lastVersion) {
    return NODES.objectNode().put("subject", subject).put("version", lastVersion);
  }

  static ObjectNode configValue(SubjectConfig config) {
    ObjectNode value = NODES.objectNode().put("compatibilityLevel", config.level().name());
    if (config.normalize()) {
      value.put("normalize", true);
    }
    return value;
  }

  static ObjectNode modeValue(Mode mode) {
    return NODES.objectNode().put("mode", mode.name());
  }

  static StoredSchema readSchema(JsonNode value) {
    return new StoredSchema(
        value.path("subject").asText(),
        value.path("version").asInt(),
        value.path("id").asInt(),
        new SchemaContent(
            value.path("schemaType").asText(SchemaContent.AVRO),
            value.path("schema").asText(),
            readReferences(value.path("references"))),
        value.path("deleted").asBoolean(false),
        value);
  }

  static List<SchemaReference> readReferences(JsonNode references) {
    List<SchemaReference> read = new ArrayList<>();
    for (JsonNode reference : references) {
      read.add(
          new SchemaReference(
              reference.path("name").asText(),
              reference.path("subject").asText(),
              reference.path("version").asInt()));
    }
    return read;
  }
}
