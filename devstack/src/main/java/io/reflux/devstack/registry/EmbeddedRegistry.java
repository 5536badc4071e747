package io.reflux.devstack.registry;

import com.linecorp.armeria.common.HttpHeaderNames;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.server.Server;
import com.linecorp.armeria.server.ServerBuilder;
import io.micrometer.core.instrument.composite.CompositeMeterRegistry;
import io.reflux.schemas.service.RefluxException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Base64;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A schema registry inside this JVM, for any client of Confluent's protocol.
 *
 * <p>It keeps nothing on disk: its schemas are in Kafka, in {@code _schemas}. One registry at a
 * time should write a topic.
 */
public final class EmbeddedRegistry implements AutoCloseable {
  // Requests wait for Kafka now and then; there are few of them, since clients remember answers.
  private static final int THREADS = 4;

  private final SchemaLog log;
  private final Server server;
  private final String url;
  private final AtomicBoolean closed = new AtomicBoolean();

  private EmbeddedRegistry(SchemaLog log, Server server, String url) {
    this.log = log;
    this.server = server;
    this.url = url;
  }

  /** Starts on the loopback address; see {@link #start(String, RegistryOptions)}. */
  public static EmbeddedRegistry start(String bootstrapServers, int port) {
    return start(bootstrapServers, RegistryOptions.loopback(port));
  }

  /**
   * Reads the schemas and returns once requests are answered.
   *
   * @throws RefluxException if Kafka does not answer or the port is taken
   */
  public static EmbeddedRegistry start(String bootstrapServers, RegistryOptions options) {
    RegistryState state = new RegistryState();
    SchemaLog log = SchemaLog.open(bootstrapServers, state);
    EmbeddedRegistry registry = null;
    try {
      registry = serve(log, state, options);
      return registry;
    } finally {
      if (registry == null) {
        log.close();
      }
    }
  }

  private static EmbeddedRegistry serve(
      SchemaLog log, RegistryState state, RegistryOptions options) {
    ServerBuilder builder =
        Server.builder()
            .http(new InetSocketAddress(resolve(options.host()), options.port()))
            .blockingTaskExecutor(THREADS)
            .meterRegistry(new CompositeMeterRegistry()) // Armeria's global one takes one server
            .unloggedExceptionsReportInterval(Duration.ZERO) // clients' mistakes are answered
            .errorHandler(new RestApi.Errors());
    new RestApi(new Registry(state, log), log.clusterId()).addTo(builder);
    options.username().ifPresent(user -> requireBasicAuth(builder, options));
    Server server = builder.build();
    try {
      server.start().join();
    } catch (CompletionException e) {
      server.close();
      throw new RefluxException(
          "registry port: "
              + options.port()
              + " (expected: a free port on "
              + options.host()
              + "): "
              + e.getCause().getMessage(),
          e);
    }
    return new EmbeddedRegistry(
        log, server, "http://" + options.host() + ":" + server.activeLocalPort());
  }

  private static InetAddress resolve(String host) {
    try {
      return InetAddress.getByName(host);
    } catch (UnknownHostException e) {
      throw new RefluxException(
          "registry host: " + host + " (expected: a name or address known here)", e);
    }
  }

  private static void requireBasicAuth(ServerBuilder builder, RegistryOptions options) {
    String credentials = options.username().orElseThrow() + ":" + options.password().orElseThrow();
    byte[] expected =
        ("Basic "
                + Base64.getEncoder().encodeToString(credentials.getBytes(StandardCharsets.UTF_8)))
            .getBytes(StandardCharsets.UTF_8);
    builder.decorator(
        (delegate, context, request) -> {
          String given = request.headers().get(HttpHeaderNames.AUTHORIZATION, "");
          if (MessageDigest.isEqual(expected, given.getBytes(StandardCharsets.UTF_8))) {
            return delegate.serve(context, request);
          }
          HttpResponse refusal = RestApi.error(HttpStatus.UNAUTHORIZED, 401, "Unauthorized");
          return refusal.mapHeaders(
              headers ->
                  headers.toBuilder()
                      .set(HttpHeaderNames.WWW_AUTHENTICATE, "Basic realm=\"registry\"")
                      .build());
        });
  }

  /** Base address for clients. */
  public String url() {
    return url;
  }

  /** The port that is listened on. */
  public int port() {
    return server.activeLocalPort();
  }

  /** Answers no more requests; safe to call twice. */
  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      try {
        server.close();
      } finally {
        log.close();
      }
    }
  }
}
