package io.reflux.devstack.registry;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.NameValidator;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.Incompatibility;

/** Parsing, canonical text and compatibility of Avro schemas. */
final class AvroSchemas {
  private final ObjectMapper mapper = new ObjectMapper();
  private final Function<SchemaReference, SchemaContent> resolver;

  /**
   * Works with the schemas of one registry.
   *
   * @param resolver finds the content of a reference, or null
   */
  AvroSchemas(Function<SchemaReference, SchemaContent> resolver) {
    this.resolver = resolver;
  }

  /**
   * The canonical content of a schema that a client sent.
   *
   * @throws RegistryError 42201 if it is not a schema or a reference leads nowhere
   */
  SchemaContent canonical(String text, List<SchemaReference> references, boolean normalise) {
    try {
      List<Schema> referenced = new ArrayList<>();
      Schema schema = parse(text, references, true, referenced);
      String canonical = print(schema, referenced);
      if (normalise) {
        canonical = mapper.writeValueAsString(AvroText.normalised(mapper.readTree(canonical)));
      }
      return new SchemaContent(SchemaContent.AVRO, canonical, references);
    } catch (AvroRuntimeException | JsonProcessingException e) {
      throw RegistryError.invalidSchema(
          "Invalid schema " + text + " of type AVRO, details: " + e.getMessage());
    } catch (StackOverflowError e) {
      throw RegistryError.invalidSchema("Invalid schema of type AVRO, details: nested too deeply");
    }
  }

  // The only way to print a schema without the definitions of the types that it refers to.
  @SuppressWarnings("deprecation")
  private static String print(Schema schema, List<Schema> referenced) {
    return referenced.isEmpty() ? schema.toString() : schema.toString(referenced, false);
  }

  private Schema parse(
      String text, List<SchemaReference> references, boolean isNew, List<Schema> referenced) {
    // What was accepted once stays usable, whatever a newer Avro thinks of it.
    Schema.Parser parser =
        new Schema.Parser(isNew ? NameValidator.STRICT_VALIDATOR : NameValidator.NO_VALIDATION);
    parser.setValidateDefaults(isNew);
    Map<SchemaReference, SchemaContent> contents = new LinkedHashMap<>();
    references.forEach(reference -> collect(reference, contents));
    contents.values().forEach(content -> referenced.add(parser.parse(content.text())));
    return parser.parse(text);
  }

  /** In an order in which every schema comes after those that it needs. */
  private void collect(SchemaReference reference, Map<SchemaReference, SchemaContent> contents) {
    if (contents.containsKey(reference)) {
      return;
    }
    SchemaContent content = resolver.apply(reference);
    if (content == null) {
      throw RegistryError.invalidSchema(
          "No schema reference found for subject \""
              + reference.subject()
              + "\" and version "
              + reference.version());
    }
    content.references().forEach(inner -> collect(inner, contents));
    contents.put(reference, content);
  }

  /**
   * Why the new schema may not follow the earlier ones; empty if it may.
   *
   * @param earlier latest last
   */
  List<String> incompatibilities(
      SchemaContent schema, List<StoredSchema> earlier, CompatibilityLevel level) {
    if (earlier.isEmpty() || level == CompatibilityLevel.NONE) {
      return List.of();
    }
    List<String> messages = new ArrayList<>();
    Schema latest = parseStored(schema);
    int last = earlier.size() - 1;
    for (int i = last; i >= (level.transitive() ? 0 : last); i--) {
      StoredSchema stored = earlier.get(i);
      if (!Objects.equals(stored.content().type(), schema.type())) {
        messages.add("{errorType:'TYPE', description:'" + stored.content().type() + "'}");
        continue;
      }
      Schema old = parseStored(stored.content());
      int before = messages.size();
      if (level.readsEarlier()) {
        describe(latest, old, "new schema", "old schema", messages);
      }
      if (level.readByEarlier()) {
        describe(old, latest, "old schema", "new schema", messages);
      }
      if (messages.size() > before) {
        messages.add("{oldSchemaVersion: " + stored.version() + "}");
        messages.add("{oldSchema: '" + stored.content().text() + "'}");
      }
    }
    if (!messages.isEmpty()) {
      messages.add("{compatibility: '" + level + "'}");
    }
    return messages;
  }

  private Schema parseStored(SchemaContent content) {
    try {
      return parse(content.text(), content.references(), false, new ArrayList<>());
    } catch (AvroRuntimeException e) {
      throw RegistryError.invalidSchema(
          "Invalid stored schema " + content.text() + ", details: " + e.getMessage());
    }
  }

  private static void describe(
      Schema reader, Schema writer, String readerName, String writerName, List<String> messages) {
    for (Incompatibility found :
        SchemaCompatibility.checkReaderWriterCompatibility(reader, writer)
            .getResult()
            .getIncompatibilities()) {
      messages.add(
          "{errorType:'"
              + found.getType()
              + "', description:'The "
              + readerName
              + " cannot read what the "
              + writerName
              + " wrote, at "
              + found.getLocation()
              + "', additionalInfo:'"
              + found.getMessage()
              + "'}");
    }
  }
}
