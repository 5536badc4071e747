package io.reflux.devstack.registry;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.linecorp.armeria.common.AggregatedHttpResponse;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpMethod;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.RequestHeaders;
import com.linecorp.armeria.server.ServerBuilder;
import com.linecorp.armeria.server.ServerErrorHandler;
import com.linecorp.armeria.server.ServiceConfig;
import com.linecorp.armeria.server.ServiceRequestContext;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The paths of Confluent's protocol. */
final class RestApi {
  private static final Logger LOG = LoggerFactory.getLogger(RestApi.class);
  private static final MediaType CONTENT_TYPE =
      MediaType.parse("application/vnd.schemaregistry.v1+json");
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
  private static final String ALL_CONTEXTS = ":*:";

  private final Registry registry;
  private final String clusterId;

  RestApi(Registry registry, String clusterId) {
    this.registry = registry;
    this.clusterId = clusterId;
  }

  /** Answers one kind of request, with JSON. */
  @FunctionalInterface
  private interface Handler {
    Object answer(Call call);
  }

  /** A schema's own text, which is JSON already. */
  private record Verbatim(String json) {}

  void addTo(ServerBuilder server) {
    on(server, HttpMethod.GET, "/", call -> NODES.objectNode());
    on(server, HttpMethod.GET, "/contexts", call -> NODES.arrayNode().add("."));
    on(server, HttpMethod.GET, "/v1/metadata/id", call -> metadata());
    on(server, HttpMethod.GET, "/v1/metadata/version", call -> softwareVersion());
    addSubjects(server);
    addSchemas(server);
    addCompatibility(server);
    addConfig(server);
    addMode(server);
  }

  private void addSubjects(ServerBuilder server) {
    on(server, HttpMethod.GET, "/subjects", this::subjects);
    on(
        server,
        HttpMethod.POST,
        "/subjects/{subject}",
        call ->
            versionNode(
                registry.lookUp(
                    call.subject(), call.draft(), call.flag("normalize"), call.flag("deleted"))));
    on(
        server,
        HttpMethod.DELETE,
        "/subjects/{subject}",
        call -> numbers(registry.deleteSubject(call.subject(), call.flag("permanent"))));
    on(
        server,
        HttpMethod.GET,
        "/subjects/{subject}/versions",
        call ->
            numbers(
                call.page(
                    registry.versions(call.subject(), call.flag("deleted")).stream()
                        .map(StoredSchema::version)
                        .toList())));
    on(server, HttpMethod.POST, "/subjects/{subject}/versions", this::register);
    on(
        server,
        HttpMethod.GET,
        "/subjects/{subject}/versions/{version}",
        call -> versionNode(version(call)));
    on(
        server,
        HttpMethod.GET,
        "/subjects/{subject}/versions/{version}/schema",
        call -> new Verbatim(version(call).content().text()));
    on(
        server,
        HttpMethod.GET,
        "/subjects/{subject}/versions/{version}/referencedby",
        call ->
            numbers(
                new TreeSet<>(
                    registry.referrers(version(call)).stream().map(StoredSchema::id).toList())));
    on(
        server,
        HttpMethod.DELETE,
        "/subjects/{subject}/versions/{version}",
        call ->
            NODES.numberNode(
                registry.deleteVersion(call.subject(), call.version(), call.flag("permanent"))));
  }

  private JsonNode subjects(Call call) {
    String prefix = call.query("subjectPrefix", "");
    boolean onlyDeleted = call.flag("deletedOnly");
    TreeMap<String, Boolean> live = new TreeMap<>();
    for (StoredSchema schema : registry.all()) {
      if (prefix.equals(ALL_CONTEXTS) || schema.subject().startsWith(prefix)) {
        live.merge(schema.subject(), !schema.deleted(), Boolean::logicalOr);
      }
    }
    List<String> names = new ArrayList<>();
    live.forEach(
        (subject, isLive) -> {
          if (onlyDeleted ? !isLive : isLive || call.flag("deleted")) {
            names.add(subject);
          }
        });
    var array = NODES.arrayNode();
    call.page(names).forEach(array::add);
    return array;
  }

  private JsonNode register(Call call) {
    StoredSchema schema = registry.register(call.subject(), call.draft(), call.flag("normalize"));
    return NODES.objectNode().put("id", schema.id()).put("version", schema.version());
  }

  private StoredSchema version(Call call) {
    return registry.version(call.subject(), call.version(), call.flag("deleted"));
  }

  private void addSchemas(ServerBuilder server) {
    on(server, HttpMethod.GET, "/schemas", this::schemas);
    on(server, HttpMethod.GET, "/schemas/types", call -> NODES.arrayNode().add(SchemaContent.AVRO));
    on(
        server,
        HttpMethod.GET,
        "/schemas/ids/{id}",
        call -> {
          SchemaContent content = content(call);
          ObjectNode node = NODES.objectNode();
          LogFormat.putTypeAndReferences(node, content);
          node.put("schema", content.text());
          if (call.flag("fetchMaxId")) {
            node.put("maxId", registry.highestId());
          }
          return node;
        });
    on(
        server,
        HttpMethod.GET,
        "/schemas/ids/{id}/schema",
        call -> new Verbatim(content(call).text()));
    on(
        server,
        HttpMethod.GET,
        "/schemas/ids/{id}/subjects",
        call -> {
          TreeSet<String> subjects = new TreeSet<>();
          registry
              .uses(call.id(), call.flag("deleted"))
              .forEach(use -> subjects.add(use.subject()));
          var array = NODES.arrayNode();
          subjects.forEach(array::add);
          return array;
        });
    on(
        server,
        HttpMethod.GET,
        "/schemas/ids/{id}/versions",
        call -> {
          var array = NODES.arrayNode();
          for (StoredSchema use : registry.uses(call.id(), call.flag("deleted"))) {
            array.addObject().put("subject", use.subject()).put("version", use.version());
          }
          return array;
        });
  }

  private SchemaContent content(Call call) {
    return registry.content(call.id()).orElseThrow(() -> RegistryError.schemaNotFound(call.id()));
  }

  private JsonNode schemas(Call call) {
    String prefix = call.query("subjectPrefix", "");
    List<StoredSchema> found = new ArrayList<>();
    for (StoredSchema schema : registry.all()) {
      boolean asked = prefix.equals(ALL_CONTEXTS) || schema.subject().startsWith(prefix);
      if (!asked || (schema.deleted() && !call.flag("deleted"))) {
        continue;
      }
      int last = found.size() - 1;
      if (call.flag("latestOnly")
          && last >= 0
          && found.get(last).subject().equals(schema.subject())) {
        found.remove(last);
      }
      found.add(schema);
    }
    var array = NODES.arrayNode();
    call.page(found).forEach(schema -> array.add(versionNode(schema)));
    return array;
  }

  private void addCompatibility(ServerBuilder server) {
    on(
        server,
        HttpMethod.POST,
        "/compatibility/subjects/{subject}/versions",
        call -> compatibility(call, Optional.empty()));
    on(
        server,
        HttpMethod.POST,
        "/compatibility/subjects/{subject}/versions/{version}",
        call -> compatibility(call, Optional.of(call.version())));
  }

  private JsonNode compatibility(Call call, Optional<Integer> version) {
    List<String> reasons =
        registry.incompatibilities(call.subject(), call.draft(), version, call.flag("normalize"));
    ObjectNode node = NODES.objectNode().put("is_compatible", reasons.isEmpty());
    if (call.flag("verbose")) {
      var messages = node.putArray("messages");
      reasons.forEach(messages::add);
    }
    return node;
  }

  private void addConfig(ServerBuilder server) {
    on(
        server,
        HttpMethod.GET,
        "/config",
        call -> LogFormat.configValue(registry.config(null).orElse(SubjectConfig.DEFAULT)));
    on(server, HttpMethod.PUT, "/config", call -> configure(call, null));
    on(
        server,
        HttpMethod.DELETE,
        "/config",
        call -> LogFormat.configValue(registry.deleteConfig(null)));
    on(
        server,
        HttpMethod.GET,
        "/config/{subject}",
        call ->
            LogFormat.configValue(
                call.flag("defaultToGlobal")
                    ? registry.effectiveConfig(call.subject())
                    : registry
                        .config(call.subject())
                        .orElseThrow(() -> RegistryError.noSubjectConfig(call.subject()))));
    on(server, HttpMethod.PUT, "/config/{subject}", call -> configure(call, call.subject()));
    on(
        server,
        HttpMethod.DELETE,
        "/config/{subject}",
        call -> LogFormat.configValue(registry.deleteConfig(call.subject())));
  }

  private JsonNode configure(Call call, String subject) {
    JsonNode json = call.json();
    json.fieldNames()
        .forEachRemaining(
            field -> {
              if (!field.equals("compatibility")
                  && !field.equals("normalize")
                  && !json.get(field).isNull()) {
                throw RegistryError.unprocessable(
                    field + " (expected: compatibility or normalize)");
              }
            });
    String level = Call.text(json, "compatibility", null);
    JsonNode normalize = json.path("normalize");
    boolean hasNormalize = !normalize.isMissingNode() && !normalize.isNull();
    if (hasNormalize && !normalize.isBoolean()) {
      throw RegistryError.unprocessable("normalize: " + normalize + " (expected: true or false)");
    }
    if (level == null && !hasNormalize) {
      throw RegistryError.invalidLevel("null");
    }
    registry.configure(
        subject,
        Optional.ofNullable(level).map(CompatibilityLevel::parse),
        hasNormalize ? Optional.of(normalize.asBoolean()) : Optional.empty());
    return json;
  }

  private void addMode(ServerBuilder server) {
    on(
        server,
        HttpMethod.GET,
        "/mode",
        call -> LogFormat.modeValue(registry.mode(null).orElse(Mode.READWRITE)));
    on(server, HttpMethod.PUT, "/mode", call -> setMode(call, null));
    on(
        server,
        HttpMethod.GET,
        "/mode/{subject}",
        call ->
            LogFormat.modeValue(
                call.flag("defaultToGlobal")
                    ? registry.effectiveMode(call.subject())
                    : registry
                        .mode(call.subject())
                        .orElseThrow(() -> RegistryError.noSubjectMode(call.subject()))));
    on(server, HttpMethod.PUT, "/mode/{subject}", call -> setMode(call, call.subject()));
    on(
        server,
        HttpMethod.DELETE,
        "/mode/{subject}",
        call -> LogFormat.modeValue(registry.deleteMode(call.subject())));
  }

  private JsonNode setMode(Call call, String subject) {
    Mode mode = Mode.parse(Call.text(call.json(), "mode", "null"));
    registry.setMode(subject, mode);
    return LogFormat.modeValue(mode);
  }

  private JsonNode metadata() {
    ObjectNode node = NODES.objectNode();
    ObjectNode scope = node.putObject("scope");
    scope.putArray("path");
    scope
        .putObject("clusters")
        .put("kafka-cluster", clusterId)
        .put("schema-registry-cluster", "schema-registry");
    return node.put("id", "");
  }

  private static JsonNode softwareVersion() {
    String version = RestApi.class.getPackage().getImplementationVersion();
    return NODES
        .objectNode()
        .put("version", version == null ? "reflux" : version)
        .put("commitId", "");
  }

  private static ObjectNode versionNode(StoredSchema schema) {
    ObjectNode node =
        NODES
            .objectNode()
            .put("subject", schema.subject())
            .put("version", schema.version())
            .put("id", schema.id());
    LogFormat.putTypeAndReferences(node, schema.content());
    node.put("schema", schema.content().text());
    if (schema.deleted()) {
      node.put("deleted", true);
    }
    return node;
  }

  private static JsonNode numbers(Collection<Integer> numbers) {
    var array = NODES.arrayNode();
    numbers.forEach(array::add);
    return array;
  }

  private static void on(ServerBuilder server, HttpMethod method, String path, Handler handler) {
    server
        .route()
        .methods(method)
        .path(path)
        .build(
            (context, request) ->
                HttpResponse.of(
                    request
                        .aggregate()
                        .thenApplyAsync(
                            whole -> answer(handler, new Call(context, whole.contentUtf8())),
                            context.blockingTaskExecutor())));
  }

  private static HttpResponse answer(Handler handler, Call call) {
    try {
      Object answer = handler.answer(call);
      String json = answer instanceof Verbatim verbatim ? verbatim.json() : answer.toString();
      return HttpResponse.of(HttpStatus.OK, CONTENT_TYPE, json);
    } catch (RegistryError e) {
      return error(HttpStatus.valueOf(e.status()), e.code(), e.getMessage());
    } catch (RuntimeException e) {
      LOG.error("registry request failed", e);
      return error(HttpStatus.INTERNAL_SERVER_ERROR, 50001, "Error in the registry: " + e);
    }
  }

  static HttpResponse error(HttpStatus status, int code, String message) {
    return HttpResponse.of(status, CONTENT_TYPE, errorNode(code, message));
  }

  private static String errorNode(int code, String message) {
    return NODES.objectNode().put("error_code", code).put("message", message).toString();
  }

  /** JSON also for what no path answers: clients probe for newer ones and read the code. */
  static final class Errors implements ServerErrorHandler {
    @Override
    public HttpResponse onServiceException(ServiceRequestContext context, Throwable cause) {
      return null; // the default picks the status, and renderStatus writes it
    }

    @Override
    public AggregatedHttpResponse renderStatus(
        ServiceRequestContext context,
        ServiceConfig config,
        RequestHeaders headers,
        HttpStatus status,
        String description,
        Throwable cause) {
      return AggregatedHttpResponse.of(
          status,
          CONTENT_TYPE,
          HttpData.ofUtf8(
              errorNode(
                  status.code(),
                  "HTTP "
                      + status.codeAsText()
                      + " "
                      + (description == null ? status.reasonPhrase() : description))));
    }
  }
}
