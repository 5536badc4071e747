package io.reflux.devstack.registry;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * The normal form of an Avro schema's JSON: full names everywhere, no {@code namespace}, attributes
 * in one order. Two texts that mean the same schema, documentation and properties included, have
 * the same normal form.
 */
final class AvroText {
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
  private static final Set<String> PRIMITIVES =
      Set.of("null", "boolean", "int", "long", "float", "double", "bytes", "string");
  private static final Set<String> NAMED = Set.of("record", "error", "enum", "fixed");
  private static final List<String> TYPE_ATTRIBUTES =
      List.of(
          "type", "name", "doc", "aliases", "fields", "symbols", "default", "size", "items",
          "values");
  private static final List<String> FIELD_ATTRIBUTES =
      List.of("name", "type", "doc", "default", "order", "aliases");

  private AvroText() {}

  /**
   * Normalises.
   *
   * @param schema as Avro itself prints it
   */
  static JsonNode normalised(JsonNode schema) {
    return type(schema, "");
  }

  private static JsonNode type(JsonNode node, String enclosing) {
    if (node.isTextual()) {
      return TextNode.valueOf(
          PRIMITIVES.contains(node.asText()) ? node.asText() : qualify(node.asText(), enclosing));
    }
    if (node.isArray()) {
      ArrayNode union = NODES.arrayNode();
      node.forEach(branch -> union.add(type(branch, enclosing)));
      return union;
    }
    if (!NAMED.contains(node.path("type").asText())) {
      return complex(node, enclosing);
    }
    String simple = node.path("name").asText();
    String full =
        node.hasNonNull("namespace")
            ? qualify(simple, node.get("namespace").asText())
            : qualify(simple, enclosing);
    String namespace = full.contains(".") ? full.substring(0, full.lastIndexOf('.')) : "";
    ObjectNode named = ordered(node, TYPE_ATTRIBUTES);
    named.remove("namespace");
    named.put("name", full);
    if (node.has("aliases")) {
      TreeSet<String> aliases = new TreeSet<>();
      node.get("aliases").forEach(alias -> aliases.add(qualify(alias.asText(), namespace)));
      ArrayNode sorted = named.putArray("aliases");
      aliases.forEach(sorted::add);
    }
    if (node.has("fields")) {
      ArrayNode fields = named.putArray("fields");
      for (JsonNode field : node.get("fields")) {
        ObjectNode normal = ordered(field, FIELD_ATTRIBUTES);
        normal.set("type", type(field.get("type"), namespace));
        fields.add(normal);
      }
    }
    return named;
  }

  /** Arrays, maps, and primitives with properties such as a logical type. */
  private static ObjectNode complex(JsonNode node, String enclosing) {
    ObjectNode normal = ordered(node, TYPE_ATTRIBUTES);
    for (String inner : List.of("items", "values")) {
      if (node.has(inner)) {
        normal.set(inner, type(node.get(inner), enclosing));
      }
    }
    return normal;
  }

  /** The known attributes in their order, then the properties by name. */
  private static ObjectNode ordered(JsonNode node, List<String> known) {
    ObjectNode ordered = NODES.objectNode();
    for (String attribute : known) {
      if (node.has(attribute)) {
        ordered.set(attribute, node.get(attribute));
      }
    }
    TreeSet<String> others = new TreeSet<>();
    node.fieldNames().forEachRemaining(others::add);
    others.removeAll(known);
    for (String other : others) {
      ordered.set(other, sorted(node.get(other)));
    }
    return ordered;
  }

  private static JsonNode sorted(JsonNode value) {
    if (!value.isObject()) {
      return value;
    }
    return ordered(value, List.of());
  }

  private static String qualify(String name, String namespace) {
    return name.contains(".") || namespace.isEmpty() ? name : namespace + "." + name;
  }
}
