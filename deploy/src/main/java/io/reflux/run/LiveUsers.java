package io.reflux.run;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * People who use the served student while it is being swapped: chat requests over HTTP at a steady
 * rate. Every answer counts, and so does every failure.
 */
final class LiveUsers implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(LiveUsers.class);
  private static final int MOST_AT_ONCE = 16;
  private static final Duration DEADLINE = Duration.ofSeconds(30);

  private final URI endpoint;
  private final Supplier<String> prompts;
  private final ObjectMapper mapper = new ObjectMapper();
  private final HttpClient client = HttpClient.newBuilder().connectTimeout(DEADLINE).build();
  private final Future<?> asking;
  private final Semaphore places = new Semaphore(MOST_AT_ONCE);
  private final AtomicLong answered = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();
  private final ScheduledExecutorService clock =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task, "live-users");
            thread.setDaemon(true);
            return thread;
          });

  /**
   * Starts asking.
   *
   * @param server base address
   * @param requestsPerSecond how often
   */
  LiveUsers(String server, double requestsPerSecond, Supplier<String> prompts) {
    this.endpoint = URI.create(server + "/v1/chat/completions");
    this.prompts = prompts;
    long periodMicros = Math.max(1, Math.round(1e6 / requestsPerSecond));
    asking =
        clock.scheduleAtFixedRate(this::ask, periodMicros, periodMicros, TimeUnit.MICROSECONDS);
  }

  long answered() {
    return answered.get();
  }

  long failed() {
    return failed.get();
  }

  private void ask() {
    // A slow server gets no pile of waiting users: a turn without a free place is not taken.
    if (!places.tryAcquire()) {
      return;
    }
    ObjectNode body = mapper.createObjectNode();
    body.putArray("messages").addObject().put("role", "user").put("content", prompts.get());
    body.put("temperature", 0).put("max_tokens", 64);
    HttpRequest request =
        HttpRequest.newBuilder(endpoint)
            .timeout(DEADLINE)
            .header("content-type", "application/json")
            .POST(BodyPublishers.ofString(body.toString()))
            .build();
    var unused = client.sendAsync(request, BodyHandlers.ofString()).whenComplete(this::count);
  }

  private void count(HttpResponse<String> response, Throwable failure) {
    places.release();
    if (failure == null && response.statusCode() == 200) {
      answered.incrementAndGet();
      return;
    }
    failed.incrementAndGet();
    log.warn(
        "chat request failed: {}",
        failure != null ? failure.toString() : response.statusCode() + " " + response.body());
  }

  /** Stops asking and waits for the answers that are under way. */
  @Override
  public void close() {
    asking.cancel(false);
    clock.shutdown();
    try {
      clock.awaitTermination(1, TimeUnit.SECONDS);
      if (places.tryAcquire(MOST_AT_ONCE, DEADLINE.toMillis(), TimeUnit.MILLISECONDS)) {
        places.release(MOST_AT_ONCE);
      } else {
        log.warn("some chat requests were still without an answer after {}", DEADLINE);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
