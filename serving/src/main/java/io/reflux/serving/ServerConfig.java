package io.reflux.serving;

import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/** How snapshots are served. */
@ConfigMapping(prefix = "reflux.serve")
public interface ServerConfig {
  /** Address to listen on. */
  @WithDefault("127.0.0.1")
  String host();

  /** Port to listen on; 0 takes a free one. */
  @WithDefault("7071")
  int port();

  /** Channel whose pointer is followed. */
  @WithDefault("stable")
  String channel();

  /** Channel that some requests try out, served beside the other; none unless named. */
  Optional<String> canaryChannel();

  /**
   * Share of users, in percent, whose requests go to the canary channel; requests that name a
   * channel in {@code reflux-channel} go there whatever the share.
   */
  @WithDefault("0")
  double canaryPercent();

  /** The fleet that it reports as, on fleet-reports. */
  @WithDefault("server")
  String fleet();

  /**
   * File of prompts that a version has to answer as they say before it serves, one JSON object a
   * line: prompt or messages, and equals, contains or not_contains.
   */
  Optional<Path> golden();

  /** Where snapshots are kept, and the version served last is remembered. */
  @WithDefault(".reflux/serving")
  Path dataDir();

  /** Snapshots kept in the data directory beside those in use. */
  @WithDefault("2")
  int keepSnapshots();

  /** The name that requests ask for and {@code /v1/models} lists. */
  @WithDefault("student")
  String modelName();

  /** Continuations that are generated at the same time. */
  @WithDefault("8")
  int slots();

  /** Continuations that wait for a slot before requests are turned away with 429. */
  @WithDefault("64")
  int queueLimit();

  /** Longest prompt and continuation together, in tokens; the model's own limit where lower. */
  @WithDefault("2048")
  int maxPositions();

  /** Tokens of a continuation when the request does not say. */
  @WithDefault("256")
  int defaultMaxTokens();

  /** Most tokens of a continuation that a request may ask for. */
  @WithDefault("1024")
  int maxTokensLimit();

  /** Intra-op threads of ONNX Runtime. */
  @WithDefault("1")
  int threads();

  /** {@code cpu}, {@code cuda[:N]} or {@code tensorrt[:N]}. */
  @WithDefault("cpu")
  String device();

  /** How keys and values are kept while tokens are generated: {@code full} or {@code int8}. */
  @WithDefault("full")
  String keyValues();

  /**
   * Most MiB that each version keeps of the beginnings of prompts, so that prompts which begin
   * alike are read once; 0 for none.
   */
  @WithDefault("64")
  int prefixCacheMib();

  /** Longest wait for the whole of a request to arrive; then it is answered with 408. */
  @WithDefault("PT30S")
  Duration bodyTimeout();

  /** How long a connection may stay without a request. */
  @WithDefault("PT60S")
  Duration idleTimeout();

  /**
   * Longest time to answer a request, from its arrival; then it is answered with 504, or its stream
   * ends with that error. A client may ask for less in {@code reflux-deadline-ms}.
   */
  @WithDefault("PT5M")
  Duration requestDeadline();

  /** Whether requests and what was answered flow back to the loop as mirrored requests. */
  @WithDefault("false")
  boolean mirror();

  /** Longest wait for requests in flight when the server stops. */
  @WithDefault("PT20S")
  Duration drainTimeout();
}
