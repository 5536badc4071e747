package io.reflux.devstack.registry;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.linecorp.armeria.server.ServiceRequestContext;
import java.util.List;

/** A request: path, query and body, taken apart and checked. */
final class Call {
  private static final ObjectMapper MAPPER =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  private final ServiceRequestContext context;
  private final String body;

  Call(ServiceRequestContext context, String body) {
    this.context = context;
    this.body = body;
  }

  String subject() {
    return context.pathParam("subject");
  }

  int id() {
    String id = context.pathParam("id");
    try {
      return Integer.parseInt(id);
    } catch (NumberFormatException e) {
      throw RegistryError.noResource(context.path());
    }
  }

  /** A version's number, or {@link Registry#LATEST}. */
  int version() {
    String version = context.pathParam("version");
    if (version.equals("latest")) {
      return Registry.LATEST;
    }
    try {
      int number = Integer.parseInt(version);
      if (number > 0 || number == Registry.LATEST) {
        return number;
      }
    } catch (NumberFormatException e) {
      throw RegistryError.invalidVersion(version);
    }
    throw RegistryError.invalidVersion(version);
  }

  boolean flag(String name) {
    return Boolean.parseBoolean(context.queryParam(name));
  }

  String query(String name, String otherwise) {
    String value = context.queryParam(name);
    return value == null ? otherwise : value;
  }

  /** The part of a list that {@code offset} and {@code limit} ask for. */
  <T> List<T> page(List<T> all) {
    int from = Math.min(all.size(), Math.max(0, number("offset", 0)));
    int limit = number("limit", -1);
    return limit < 0
        ? all.subList(from, all.size())
        : all.subList(from, Math.min(all.size(), from + Math.min(limit, all.size())));
  }

  private int number(String name, int otherwise) {
    String value = context.queryParam(name);
    if (value == null) {
      return otherwise;
    }
    try {
      return Integer.parseInt(value);
    } catch (NumberFormatException e) {
      throw RegistryError.malformed(name + ": " + value + " (expected: a whole number)");
    }
  }

  JsonNode json() {
    JsonNode json;
    try {
      json = MAPPER.readTree(body);
    } catch (JsonProcessingException e) {
      throw RegistryError.malformed("Malformed JSON: " + e.getOriginalMessage());
    }
    if (json == null || !json.isObject()) {
      throw RegistryError.malformed("request body (expected: a JSON object)");
    }
    return json;
  }

  /** The schema in the body. */
  Registry.Draft draft() {
    JsonNode json = json();
    String type = text(json, "schemaType", SchemaContent.AVRO);
    if (!type.equals(SchemaContent.AVRO)) {
      throw RegistryError.invalidSchema(
          "Invalid schema type " + type + " (expected: AVRO, the only type of this registry)");
    }
    for (String field : List.of("metadata", "ruleSet")) {
      if (json.hasNonNull(field) && !json.get(field).isEmpty()) {
        throw RegistryError.unprocessable(field + " (expected: none; this registry keeps none)");
      }
    }
    // Clients that copy schemas from another registry name the id: it would not be kept.
    if (json.path("id").asInt(-1) > 0) {
      throw RegistryError.notPermitted(
          "Subject " + subject() + " is not in import mode, and this registry has none");
    }
    String schema = text(json, "schema", "");
    if (schema.isBlank()) {
      throw RegistryError.invalidSchema("Empty schema");
    }
    return new Registry.Draft(schema, references(json.path("references")));
  }

  private static List<SchemaReference> references(JsonNode references) {
    if (references.isMissingNode() || references.isNull()) {
      return List.of();
    }
    boolean valid = references.isArray();
    for (JsonNode reference : references) {
      valid &=
          reference.path("name").isTextual()
              && reference.path("subject").isTextual()
              && reference.path("version").isInt();
    }
    if (!valid) {
      throw RegistryError.unprocessable(
          "references (expected: a list of objects with name, subject and version)");
    }
    return LogFormat.readReferences(references);
  }

  static String text(JsonNode json, String field, String otherwise) {
    JsonNode value = json.path(field);
    if (value.isMissingNode() || value.isNull()) {
      return otherwise;
    }
    if (!value.isTextual()) {
      throw RegistryError.unprocessable(field + ": " + value + " (expected: text)");
    }
    return value.asText();
  }
}
