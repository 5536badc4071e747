package io.reflux.serving.openai;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** What the interface counts. */
final class ApiMeters {
  private static final int MOST_VERSIONS = 8;

  private final Map<String, VersionMeters> versions = new LinkedHashMap<>(16, 0.75f, true);
  private final MeterRegistry registry;
  private final Counter requests;
  private final Counter failed;
  private final Counter refused;
  private final Counter overloaded;
  private final Counter cancelled;
  private final Counter expired;
  private final Counter promptTokens;
  private final Counter cachedTokens;
  private final Counter tokens;
  private final Timer timeToFirstToken;
  private final Timer latency;

  ApiMeters(MeterRegistry registry) {
    this.registry = registry;
    requests = counter("requests_total", "Completions and chat completions asked for");
    failed = counter("requests_failed_total", "Of those, answered with 5xx or broken off by us");
    refused = counter("requests_refused_total", "Of those, answered with 4xx but not 429");
    overloaded = counter("requests_overloaded_total", "Of those, answered with 429");
    cancelled = counter("requests_cancelled_total", "Of those, broken off by the client");
    expired = counter("requests_expired_total", "Of those, not answered by their deadline");
    cachedTokens =
        counter("prompt_tokens_cached_total", "Of the prompts' tokens, those read before");
    promptTokens = counter("prompt_tokens_total", "Tokens of prompts of finished requests");
    tokens = counter("tokens_total", "Tokens generated for finished requests");
    timeToFirstToken =
        Timer.builder("time_to_first_token")
            .description("From the request's arrival")
            .register(registry);
    latency =
        Timer.builder("request_latency").description("Of finished requests").register(registry);
  }

  <T> void gauge(String name, String description, T source, ToDoubleFunction<T> value) {
    Gauge.builder(name, source, value).description(description).register(registry);
  }

  void arrived() {
    requests.increment();
  }

  void rejected(ApiException e) {
    if (e.status().isServerError()) {
      failed.increment();
    } else if (e.status().code() == 429) {
      overloaded.increment();
    } else {
      refused.increment();
    }
  }

  void failed() {
    failed.increment();
  }

  void cancelled() {
    cancelled.increment();
  }

  void expired() {
    expired.increment();
  }

  void firstToken(long nanos) {
    timeToFirstToken.record(Duration.ofNanos(nanos));
  }

  void finished(CompletionRun.Usage usage, Duration took) {
    promptTokens.increment(usage.promptTokens());
    cachedTokens.increment(usage.cachedTokens());
    tokens.increment(usage.completionTokens());
    latency.record(took);
  }

  /** The meters of one version on one channel; of many, those used least recently are forgotten. */
  VersionMeters of(String channel, long version) {
    synchronized (versions) {
      VersionMeters meters =
          versions.computeIfAbsent(
              channel + "/" + version, key -> new VersionMeters(registry, channel, version));
      Iterator<VersionMeters> eldest = versions.values().iterator();
      while (versions.size() > MOST_VERSIONS) {
        eldest.next().forget(registry);
        eldest.remove();
      }
      return meters;
    }
  }

  private Counter counter(String name, String description) {
    return Counter.builder(name).description(description).register(registry);
  }
}
