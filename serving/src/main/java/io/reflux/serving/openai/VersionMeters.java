package io.reflux.serving.openai;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.List;

/** What one version does, so that a canary can be compared with what it would replace. */
final class VersionMeters {
  private final Counter requests;
  private final Counter failed;
  private final Counter tokens;
  private final Timer timeToFirstToken;
  private final Timer latency;

  VersionMeters(MeterRegistry registry, String channel, long version) {
    Tags tags = Tags.of("channel", channel, "version", Long.toString(version));
    requests =
        Counter.builder("version_requests_total")
            .description("Requests that a version took")
            .tags(tags)
            .register(registry);
    failed =
        Counter.builder("version_requests_failed_total")
            .description("Of those, failed or not answered by their deadline")
            .tags(tags)
            .register(registry);
    tokens =
        Counter.builder("version_tokens_total")
            .description("Tokens that a version generated for finished requests")
            .tags(tags)
            .register(registry);
    timeToFirstToken =
        Timer.builder("version_time_to_first_token")
            .description("From the request's arrival, by version")
            .tags(tags)
            .register(registry);
    latency =
        Timer.builder("version_request_latency")
            .description("Of finished requests, by version")
            .tags(tags)
            .register(registry);
  }

  void took() {
    requests.increment();
  }

  void failed() {
    failed.increment();
  }

  void firstToken(long nanos) {
    timeToFirstToken.record(Duration.ofNanos(nanos));
  }

  void finished(CompletionRun.Usage usage, Duration took) {
    tokens.increment(usage.completionTokens());
    latency.record(took);
  }

  void forget(MeterRegistry registry) {
    for (Meter meter : List.of(requests, failed, tokens, timeToFirstToken, latency)) {
      registry.remove(meter);
    }
  }
}
