package io.reflux.schemas.registry;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;

/**
 * A schema registry that speaks Confluent's REST protocol. Safe for use by many threads.
 *
 * <p>Ids and schemas never change once given, so both are remembered for good; that an id is
 * unknown is remembered for seconds only. Every failure is a {@link RegistryException}.
 */
public final class RegistryClient {
  /** How long an unknown id is not asked for again, so that a flood of bad records costs little. */
  private static final Duration UNKNOWN_ID_MEMORY = Duration.ofSeconds(10);

  private static final int MAX_UNKNOWN_IDS = 10_000;

  // Error codes of the protocol.
  private static final int SUBJECT_NOT_FOUND = 40401;
  private static final int VERSION_NOT_FOUND = 40402;
  private static final int SCHEMA_NOT_FOUND = 40403;

  private static final ObjectMapper JSON = new ObjectMapper();

  private record SubjectSchema(String subject, Schema schema) {}

  /**
   * A schema as a subject has it.
   *
   * @param version from 1 within the subject
   * @param id unique within the registry
   */
  public record Registered(String subject, int version, int id, Schema schema) {}

  private final RegistryHttp http;
  private final LongSupplier nanoTime;
  private final Map<SubjectSchema, Integer> ids = new ConcurrentHashMap<>();
  private final Map<Integer, Schema> schemas = new ConcurrentHashMap<>();
  private final Map<Integer, Long> unknownIds = new ConcurrentHashMap<>();

  /** Opens no connection yet; a wrong address or truststore is refused here. */
  public RegistryClient(RegistryConfig config) {
    this(new RegistryHttp(config, RegistryHttp.Patience.DEFAULT), System::nanoTime);
  }

  RegistryClient(RegistryHttp http, LongSupplier nanoTime) {
    this.http = http;
    this.nanoTime = nanoTime;
  }

  /** The configured address or addresses, for messages. */
  public String address() {
    return http.address();
  }

  /** Registers a schema under a subject if it is not there yet, and returns its id. */
  public int register(String subject, Schema schema) {
    SubjectSchema key = new SubjectSchema(subject, schema);
    Integer known = ids.get(key);
    if (known != null) {
      return known;
    }
    JsonNode answer =
        http.call("POST", "/subjects/" + encode(subject) + "/versions", body(schema)).orThrow();
    int id = intField(answer, "id");
    ids.put(key, id);
    return id;
  }

  /** The id of a schema that the subject already has, without registering it. */
  public OptionalInt idOf(String subject, Schema schema) {
    SubjectSchema key = new SubjectSchema(subject, schema);
    Integer known = ids.get(key);
    if (known != null) {
      return OptionalInt.of(known);
    }
    RegistryHttp.Answer answer = http.call("POST", "/subjects/" + encode(subject), body(schema));
    if (answer.isError(SUBJECT_NOT_FOUND) || answer.isError(SCHEMA_NOT_FOUND)) {
      return OptionalInt.empty();
    }
    int id = intField(answer.orThrow(), "id");
    ids.put(key, id);
    return OptionalInt.of(id);
  }

  /** The Avro schema of an id; empty when the registry has none, or one that is not Avro. */
  public Optional<Schema> byId(int id) {
    Schema known = schemas.get(id);
    if (known != null) {
      return Optional.of(known);
    }
    Long unknownSince = unknownIds.get(id);
    if (unknownSince != null) {
      if (nanoTime.getAsLong() - unknownSince < UNKNOWN_ID_MEMORY.toNanos()) {
        return Optional.empty();
      }
      unknownIds.remove(id);
    }
    RegistryHttp.Answer answer = http.call("GET", "/schemas/ids/" + id, null);
    if (answer.isError(SCHEMA_NOT_FOUND)) {
      return rememberUnknown(id);
    }
    JsonNode json = answer.orThrow();
    if (!json.path("schemaType").asText("AVRO").equals("AVRO")) {
      return rememberUnknown(id);
    }
    Schema schema = parse(json);
    schemas.put(id, schema);
    return Optional.of(schema);
  }

  private Optional<Schema> rememberUnknown(int id) {
    if (unknownIds.size() >= MAX_UNKNOWN_IDS) {
      unknownIds.clear();
    }
    unknownIds.put(id, nanoTime.getAsLong());
    return Optional.empty();
  }

  /** The newest version of a subject, if it has any. Asked anew each time. */
  public Optional<Registered> latest(String subject) {
    RegistryHttp.Answer answer =
        http.call("GET", "/subjects/" + encode(subject) + "/versions/latest", null);
    if (answer.isError(SUBJECT_NOT_FOUND) || answer.isError(VERSION_NOT_FOUND)) {
      return Optional.empty();
    }
    JsonNode json = answer.orThrow();
    return Optional.of(
        new Registered(subject, intField(json, "version"), intField(json, "id"), parse(json)));
  }

  /** Every subject that the registry shows to this user. */
  public List<String> subjects() {
    JsonNode json = http.call("GET", "/subjects", null).orThrow();
    if (!json.isArray()) {
      throw http.unexpected("GET /subjects", json.toString(), "an array of names");
    }
    List<String> names = new ArrayList<>();
    json.forEach(name -> names.add(name.asText()));
    return names;
  }

  /** Whether a schema may follow the newest version of a subject; true when it has none. */
  public boolean isCompatible(String subject, Schema schema) {
    RegistryHttp.Answer answer =
        http.call(
            "POST",
            "/compatibility/subjects/" + encode(subject) + "/versions/latest",
            body(schema));
    if (answer.isError(SUBJECT_NOT_FOUND) || answer.isError(VERSION_NOT_FOUND)) {
      return true;
    }
    JsonNode verdict = answer.orThrow().path("is_compatible");
    if (!verdict.isBoolean()) {
      throw http.unexpected("compatibility of " + subject, verdict.toString(), "is_compatible");
    }
    return verdict.asBoolean();
  }

  /** Sets a subject's compatibility level, such as {@code FULL_TRANSITIVE}. */
  public void setCompatibility(String subject, String level) {
    ObjectNode body = JSON.createObjectNode().put("compatibility", level);
    http.call("PUT", "/config/" + encode(subject), body.toString()).orThrow();
  }

  /** Returns when the registry answers; one try, no patience. */
  public void requireReachable(Duration timeout) {
    http.once("GET", "/subjects", timeout).orThrow();
  }

  private static String body(Schema schema) {
    return JSON.createObjectNode().put("schema", portable(schema)).toString();
  }

  /**
   * The schema without the hints that Avro's Java compiler leaves in it: readers in other languages
   * register the same text and so get the same id.
   */
  static String portable(Schema schema) {
    try {
      JsonNode json = JSON.readTree(schema.toString());
      stripJavaHints(json);
      return new Schema.Parser().parse(json.toString()).toString();
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("Avro wrote a schema that is not JSON", e);
    }
  }

  private static void stripJavaHints(JsonNode node) {
    if (node instanceof ObjectNode object) {
      object.remove("avro.java.string");
    }
    node.forEach(RegistryClient::stripJavaHints);
  }

  private Schema parse(JsonNode json) {
    String text = json.path("schema").asText("");
    try {
      return new Schema.Parser().parse(text);
    } catch (AvroRuntimeException e) {
      throw http.unexpected("schema", abbreviate(text), "an Avro schema");
    }
  }

  private int intField(JsonNode json, String name) {
    JsonNode value = json.path(name);
    if (!value.canConvertToInt() || !value.isIntegralNumber()) {
      throw http.unexpected(name, abbreviate(json.toString()), "a whole number");
    }
    return value.intValue();
  }

  private static String abbreviate(String text) {
    return text.length() <= 100 ? text : text.substring(0, 100) + "…";
  }

  private static String encode(String subject) {
    // A path wants %20 where a form wants +.
    return URLEncoder.encode(subject, StandardCharsets.UTF_8).replace("+", "%20");
  }
}
