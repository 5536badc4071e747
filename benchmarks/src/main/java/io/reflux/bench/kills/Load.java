package io.reflux.bench.kills;

import io.reflux.bench.kafka.LabelWatch;
import io.reflux.bench.kafka.RequestMaker;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.kafka.clients.producer.Producer;

/**
 * Requests without end, some with a response and some for the teacher to answer, as many as keep a
 * scorer behind: so many more than there are labels.
 */
final class Load implements AutoCloseable {
  /** One in so many requests has no response. */
  private static final int OPEN_EVERY = 3;

  private static final int BURST = 16;
  private static final int MAX_TOKENS = 24;
  private static final Duration PATIENCE = Duration.ofMillis(50);

  private final RequestMaker maker;
  private final LabelWatch watch;
  private final int backlog;
  private final Producer<String, byte[]> producer;
  private final TopicWriter<MirroredRequest> writer;
  private final List<String> sent = new ArrayList<>();
  private final Thread thread;
  private volatile boolean stopping;
  private volatile Throwable failure;

  /**
   * @param backlog requests ahead of the labels
   */
  Load(KafkaClients clients, RequestMaker maker, LabelWatch watch, int backlog) {
    this.maker = maker;
    this.watch = watch;
    this.backlog = backlog;
    this.producer = clients.producer("bench-load");
    this.writer = clients.writer(Topics.REQUESTS, producer);
    this.thread = new Thread(this::send, "bench-load");
    thread.setDaemon(true);
    thread.start();
  }

  /** Stops, and says what the broker has: every request's id. */
  List<String> stop() throws InterruptedException {
    stopping = true;
    thread.join();
    if (failure != null) {
      throw new RefluxException("bench: sending requests failed: " + failure, failure);
    }
    return List.copyOf(sent);
  }

  @Override
  public void close() {
    stopping = true;
    producer.close(Duration.ofSeconds(5));
  }

  private void send() {
    try {
      while (!stopping) {
        List<CompletableFuture<?>> burst = new ArrayList<>();
        for (int i = 0; i < BURST; i++) {
          int number = sent.size();
          String id = "request-" + number;
          boolean open = number % OPEN_EVERY == 0;
          burst.add(writer.send(id, open ? maker.open(id, MAX_TOKENS) : maker.answered(id)));
          sent.add(id);
        }
        CompletableFuture.allOf(burst.toArray(CompletableFuture[]::new)).join();
        boolean caughtUp;
        do {
          caughtUp = watch.await(sent.size() - backlog, PATIENCE);
        } while (!stopping && !caughtUp);
      }
    } catch (InterruptedException | RuntimeException e) {
      failure = e;
    }
  }
}
