package io.reflux.producers;

import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/** Settings of the mirror's HTTP endpoint. */
@ConfigMapping(prefix = "reflux.mirror")
public interface MirrorConfig {
  /** Address to listen on; the default takes requests from this machine only. */
  @WithDefault("127.0.0.1")
  String host();

  /** Port to listen on; 0 takes any that is free. */
  @WithDefault("7070")
  int port();

  /** Written into each record as who mirrored it. */
  @WithDefault("mirror")
  String source();

  /** Segment of requests that name none. */
  @WithDefault("default")
  String segment();

  /** Share of conversations kept, above 0, to 1. */
  @WithDefault("1.0")
  double sampling();

  /** Most requests kept a second, about: the share is lowered for as long as more come. */
  OptionalDouble samplingPerSecond();

  /** Shares and rates of some of the traffic, by names; the first in their order that matches. */
  Map<String, Sample> sample();

  /** Share and rate of some of the traffic. */
  interface Sample {
    /** Segment that it is for, with * for any characters. */
    Optional<String> segment();

    /** Tags that a request must all have, with * for any characters in their values. */
    Map<String, String> tags();

    /** Share of conversations kept, above 0, to 1. */
    @WithDefault("1.0")
    double probability();

    /** Most requests kept a second, about. */
    OptionalDouble perSecond();
  }

  /** While a file of this name exists, everything is dropped: a switch that works at once. */
  Optional<Path> offFile();

  /** Most bytes held for Kafka; beyond it callers get 503. */
  @WithDefault("33554432")
  long bufferBytes();

  /** Most bytes of text in one request. */
  @WithDefault("1048576")
  int maxRequestBytes();

  /** Most bytes of one HTTP body; bulk bodies hold many requests. */
  @WithDefault("8388608")
  int maxBodyBytes();

  /** How long {@code ?wait=true} waits for Kafka. */
  @WithDefault("30s")
  Duration waitTimeout();

  /** How long closing waits for Kafka to take what is held. */
  @WithDefault("10s")
  Duration drainTimeout();

  /** What is taken out of requests before they leave the process. */
  Redact redact();

  /** Settings of redaction. */
  interface Redact {
    /** Of secret, card, iban, email, ip, phone, name and custom; none for nothing at all. */
    @WithDefault("secret,card,iban,email,ip,phone,name,custom")
    List<String> kinds();

    /** Countries whose national telephone numbers count; international ones always do. */
    @WithDefault("US,GB")
    List<String> phoneRegions();

    /** File of names, one a line, taken out where they stand as whole words in any case. */
    Optional<Path> names();

    /** Expressions in RE2's syntax, by names of their own. */
    Map<String, String> rules();

    /** Longest that one request is looked at; it is dropped, and not sent as it came. */
    @WithDefault("1s")
    Duration timeBudget();
  }
}
