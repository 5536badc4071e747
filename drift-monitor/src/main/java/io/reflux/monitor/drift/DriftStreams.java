package io.reflux.monitor.drift;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Runs the drift topology until closed. */
public final class DriftStreams implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(DriftStreams.class);
  private static final Duration START_LIMIT = Duration.ofSeconds(60);
  private static final Duration CLOSE_LIMIT = Duration.ofSeconds(20);

  private final KafkaStreams streams;
  private final CountDownLatch settled = new CountDownLatch(1);
  private final CompletableFuture<Void> termination = new CompletableFuture<>();

  /**
   * @param stateDir where the stores live; rebuilt from changelogs when lost
   */
  public DriftStreams(
      KafkaClients clients, DriftOptions options, Path stateDir, MeterRegistry meters) {
    Properties properties = new Properties();
    for (Map.Entry<String, Object> entry : clients.streamsProperties("monitor-drift").entrySet()) {
      properties.put(entry.getKey(), entry.getValue());
    }
    properties.put(StreamsConfig.STATE_DIR_CONFIG, stateDir.toString());
    properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    properties.put("processing.exception.handler.global.enabled", true);
    // Reports are small and few: a cache would only hold them back.
    properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0L);
    streams = new KafkaStreams(DriftTopology.build(clients, options, meters), properties);
    streams.setUncaughtExceptionHandler(
        failure -> {
          if (passes(failure)) {
            log.warn("drift stream: {}; starting its thread again", failure.toString());
            return StreamThreadExceptionResponse.REPLACE_THREAD;
          }
          log.error("drift stream failed: {}", failure.toString(), failure);
          termination.completeExceptionally(
              new RefluxException("drift stream: " + failure.getMessage(), failure));
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    streams.setStateListener(
        (state, before) -> {
          if (state == KafkaStreams.State.RUNNING
              || state == KafkaStreams.State.ERROR
              || state == KafkaStreams.State.NOT_RUNNING) {
            settled.countDown();
          }
        });
  }

  /**
   * Returns once the topology runs.
   *
   * @throws RefluxException if it does not within a minute, or fails
   */
  public void start() {
    streams.start();
    try {
      if (!settled.await(START_LIMIT.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new RefluxException(
            "drift stream: " + streams.state() + " after " + START_LIMIT + " (expected: RUNNING)");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new RefluxException("drift stream: interrupted while starting", e);
    }
    if (!streams.state().isRunningOrRebalancing()) {
      throw new RefluxException("drift stream: " + streams.state() + " (expected: RUNNING)");
    }
  }

  /** Whether the same work may succeed later: brokers or the registry were away. */
  private static boolean passes(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      if (cause instanceof RetriableException
          || (cause instanceof RegistryException registry && registry.isTransient())) {
        return true;
      }
    }
    return false;
  }

  /** Completes exceptionally when the stream has failed for good, normally once it is closed. */
  public CompletionStage<Void> termination() {
    return termination;
  }

  @Override
  public void close() {
    if (!streams.close(CLOSE_LIMIT)) {
      log.warn("drift stream: still closing after {}", CLOSE_LIMIT);
    }
    termination.complete(null);
  }
}
