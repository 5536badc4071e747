package io.reflux.producers;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.context.Context;
import io.reflux.producers.redact.Redactor;
import io.reflux.schemas.avro.Message;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Copies requests to Kafka without ever slowing or failing the caller: {@link #submit} neither
 * blocks nor throws, memory is bounded by a byte budget, and what does not fit is dropped and
 * counted: submitted = delivered + dropped by reason + still held.
 *
 * <p>One thread of its own takes out what must not leave the process and talks to Kafka. Safe for
 * use by many threads.
 */
public final class TrafficMirror implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(TrafficMirror.class);

  /** Objects around the text of a request, roughly; part of what is held of the budget. */
  private static final long OVERHEAD_BYTES = 512;

  /** A trace's ids and the objects around them, roughly. */
  private static final long TRACE_BYTES = 256;

  /** What close waits for each of its threads, after its deadline. */
  private static final long LONGEST_JOIN_MILLIS = 1000;

  private static final long DEFAULT_BUFFER_BYTES = 32L << 20;
  private static final int DEFAULT_MAX_REQUEST_BYTES = 1 << 20;

  private final String source;
  private final String defaultSegment;
  private final long bufferBytes;
  private final long maxRequestBytes;
  private final Sampling sampling;
  private final Duration closeTimeout;
  private final RequestRedaction redaction;
  private final Producer<String, byte[]> producer;
  private final TopicWriter<MirroredRequest> writer;
  private final LinkedBlockingQueue<Held> queue = new LinkedBlockingQueue<>();
  private final AtomicLong heldBytes = new AtomicLong();
  private final AtomicLong held = new AtomicLong();
  private final AtomicBoolean closed = new AtomicBoolean();
  private final AtomicBoolean failing = new AtomicBoolean();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final String idPrefix = UUID.randomUUID().toString().replace("-", "").substring(0, 16);
  private final AtomicLong ids = new AtomicLong();
  private final Counter submitted;
  private final Counter delivered;
  private final Counter deliveredBytes;
  private final Map<DropReason, Counter> dropped = new EnumMap<>(DropReason.class);
  private final Thread sender;
  private volatile boolean ended;
  private volatile boolean off;

  private TrafficMirror(Builder builder) {
    this.source = builder.source;
    this.defaultSegment = builder.defaultSegment;
    this.bufferBytes = builder.bufferBytes;
    this.maxRequestBytes = builder.maxRequestBytes;
    List<SamplingRule> rules = new ArrayList<>(builder.rules);
    rules.add(
        new SamplingRule(
            "sampling", Optional.empty(), Map.of(), builder.sampling, builder.perSecond));
    this.sampling = new Sampling(rules, System::nanoTime);
    this.closeTimeout = builder.closeTimeout;
    MeterRegistry meters = builder.meters;
    this.redaction = new RequestRedaction(builder.redactor, builder.redactionBudget, meters);
    this.submitted = meters.counter("submitted_total");
    this.delivered = meters.counter("delivered_total");
    this.deliveredBytes = meters.counter("delivered_bytes_total");
    for (DropReason reason : DropReason.values()) {
      dropped.put(reason, meters.counter("dropped_total", "reason", reason.code()));
    }
    meters.gauge("buffered_bytes", heldBytes);
    this.producer = builder.clients.producer("reflux-mirror-" + source);
    this.writer = builder.clients.writer(Topics.REQUESTS, producer);
    this.sender = new Thread(this::send, "reflux-mirror");
    sender.setDaemon(true);
    sender.start();
  }

  /**
   * Starts a builder.
   *
   * @param source the service or team that mirrors, for the records
   */
  public static Builder builder(KafkaClients clients, String source) {
    return new Builder(clients, source);
  }

  /** Settings of a mirror. */
  public static final class Builder {
    private final KafkaClients clients;
    private final String source;
    private String defaultSegment = "default";
    private long bufferBytes = DEFAULT_BUFFER_BYTES;
    private long maxRequestBytes = DEFAULT_MAX_REQUEST_BYTES;
    private double sampling = 1;
    private OptionalDouble perSecond = OptionalDouble.empty();
    private List<SamplingRule> rules = List.of();
    private Duration closeTimeout = Duration.ofSeconds(10);
    private Redactor redactor = Redactors.DEFAULT;
    private Duration redactionBudget = Duration.ofSeconds(1);
    private MeterRegistry meters = new SimpleMeterRegistry();

    private Builder(KafkaClients clients, String source) {
      this.clients = clients;
      this.source = source;
    }

    /** Segment of requests that name none. */
    public Builder defaultSegment(String value) {
      defaultSegment = value;
      return this;
    }

    /** Most bytes held for Kafka before requests are dropped. */
    public Builder bufferBytes(long value) {
      bufferBytes = value;
      return this;
    }

    /** Most bytes of text in a request; larger ones are dropped. */
    public Builder maxRequestBytes(long value) {
      maxRequestBytes = value;
      return this;
    }

    /** Share of conversations kept, above 0 to 1; recorded in each kept request. */
    public Builder sampling(double value) {
      sampling = value;
      return this;
    }

    /** Most requests kept a second, about; the share of conversations is lowered for it. */
    public Builder perSecond(double value) {
      perSecond = OptionalDouble.of(value);
      return this;
    }

    /** For traffic with shares and rates of its own; the first that matches a request counts. */
    public Builder rules(List<SamplingRule> value) {
      rules = List.copyOf(value);
      return this;
    }

    /** How long {@link TrafficMirror#close} waits for Kafka. */
    public Builder closeTimeout(Duration value) {
      closeTimeout = value;
      return this;
    }

    /** What takes out what must not leave the process; by default all kinds, of no listed names. */
    public Builder redactor(Redactor value) {
      redactor = value;
      return this;
    }

    /** Longest that one request is looked at; it is dropped, and not sent as it came. */
    public Builder redactionBudget(Duration value) {
      redactionBudget = value;
      return this;
    }

    /** Takes all of these over: segment, sizes, sampling, redaction and how long a close waits. */
    public Builder settings(MirrorConfig config) {
      perSecond = config.samplingPerSecond();
      return defaultSegment(config.segment())
          .bufferBytes(config.bufferBytes())
          .maxRequestBytes(config.maxRequestBytes())
          .sampling(config.sampling())
          .rules(rules(config.sample()))
          .closeTimeout(config.drainTimeout())
          .redactor(Redactors.of(config.redact()))
          .redactionBudget(config.redact().timeBudget());
    }

    private static List<SamplingRule> rules(Map<String, MirrorConfig.Sample> settings) {
      // In the order of their names: a map of settings has no other.
      return new TreeMap<>(settings)
          .entrySet().stream()
              .map(
                  entry ->
                      new SamplingRule(
                          "reflux.mirror.sample." + entry.getKey(),
                          entry.getValue().segment(),
                          entry.getValue().tags(),
                          entry.getValue().probability(),
                          entry.getValue().perSecond()))
              .toList();
    }

    /** Where counts go. */
    public Builder meters(MeterRegistry value) {
      meters = value;
      return this;
    }

    public TrafficMirror build() {
      if (maxRequestBytes < 1) {
        throw new RefluxException(
            "max-request-bytes: " + maxRequestBytes + " (expected: 1 or more)");
      }
      if (bufferBytes < maxRequestBytes + OVERHEAD_BYTES) {
        throw new RefluxException(
            "buffer-bytes: "
                + bufferBytes
                + " (expected: room for one request of "
                + maxRequestBytes
                + " bytes and "
                + OVERHEAD_BYTES
                + " around it)");
      }
      return new TrafficMirror(this);
    }
  }

  /**
   * Takes a request in, or drops it; returns at once and never throws. It belongs to the trace that
   * is current.
   */
  public Receipt submit(MirrorRequest request) {
    return submit(request, Context.current());
  }

  /**
   * As {@link #submit(MirrorRequest)}.
   *
   * @param trace the trace that the request belongs to, which its record and all that comes of it
   *     carry; the root context for none
   */
  public Receipt submit(MirrorRequest request, Context trace) {
    submitted.increment();
    String id = request.requestId().orElseGet(() -> idPrefix + "-" + ids.incrementAndGet());
    if (closed.get()) {
      return drop(id, DropReason.CLOSED, "mirror: closed");
    }
    if (off) {
      return drop(id, DropReason.SWITCHED_OFF, "mirror: switched off");
    }
    Sampling.Decision sampled =
        sampling.decide(
            request.segment().orElse(defaultSegment),
            request.tags(),
            request.conversationId().orElse(id));
    if (sampled.refusal().isPresent()) {
      DropReason reason = sampled.refusal().get();
      return drop(id, reason, "request " + id + ": " + reason.code().replace('_', ' '));
    }
    long bytes = request.textBytes();
    if (bytes > maxRequestBytes) {
      return drop(
          id,
          DropReason.TOO_LARGE,
          "request " + id + ": " + bytes + " bytes (expected: at most " + maxRequestBytes + ")");
    }
    SpanContext span = Span.fromContext(trace).getSpanContext();
    long size = bytes + OVERHEAD_BYTES + traceBytes(span);
    if (!reserve(size)) {
      return drop(id, DropReason.BUFFER_FULL, "mirror: " + bufferBytes + " bytes held, no room");
    }
    Instant receivedAt = request.receivedAt().orElseGet(Instant::now);
    Held item =
        new Held(
            request,
            id,
            receivedAt,
            sampled.probability(),
            carried(span),
            size,
            new CompletableFuture<>());
    queue.add(item);
    // A close between the check above and here may have emptied the queue already.
    if (ended && queue.remove(item)) {
      fail(item, DropReason.CLOSED, "mirror: closed", null);
    }
    return new Receipt(id, Optional.empty(), item.delivery());
  }

  /**
   * Switches it off or on again at once: while off every request is dropped and counted as such.
   * What is held already still goes to Kafka.
   */
  public void switchOff(boolean value) {
    off = value;
  }

  /** Whether it is switched off. */
  public boolean isOff() {
    return off;
  }

  /** Whether so little room is left that a feeder does better to wait. */
  public boolean isNearlyFull() {
    return heldBytes.get() > bufferBytes / 2;
  }

  /** Requests handed to {@link #submit}. */
  public long submitted() {
    return (long) submitted.count();
  }

  /** Requests that Kafka has. */
  public long delivered() {
    return (long) delivered.count();
  }

  /** Requests dropped for a reason. */
  public long dropped(DropReason reason) {
    return (long) dropped.get(reason).count();
  }

  /** Waits until nothing is held. */
  public boolean flush(Duration timeout) throws InterruptedException {
    long nanos = timeout.toNanos();
    lock.lockInterruptibly();
    try {
      while (held.get() > 0) {
        if (nanos <= 0) {
          return false;
        }
        nanos = changed.awaitNanos(nanos);
      }
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Takes no more, gives Kafka until the deadline, and drops what is left; counted, as always. */
  @Override
  public void close() {
    if (!closed.compareAndSet(false, true)) {
      return;
    }
    boolean interrupted = false;
    try {
      if (!flush(closeTimeout)) {
        log.warn("mirror closed with {} requests undelivered", held.get());
      }
    } catch (InterruptedException e) {
      interrupted = true;
    }
    ended = true;
    sender.interrupt();
    // Fails what is in flight; its callbacks count it. On a thread of its own, because the producer
    // waits for a broker that accepts connections but is silent, whatever its deadline.
    Thread closer = new Thread(() -> producer.close(Duration.ZERO), "reflux-mirror-close");
    closer.setDaemon(true);
    closer.start();
    try {
      sender.join(LONGEST_JOIN_MILLIS);
      closer.join(LONGEST_JOIN_MILLIS);
    } catch (InterruptedException e) {
      interrupted = true;
    }
    dropRest();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void dropRest() {
    for (Held item = queue.poll(); item != null; item = queue.poll()) {
      fail(item, DropReason.CLOSED, "mirror: closed", null);
    }
  }

  /** The trace alone, without whatever else the caller keeps in its context. */
  private static Context carried(SpanContext span) {
    return span.isValid() ? Context.root().with(Span.wrap(span)) : Context.root();
  }

  private static long traceBytes(SpanContext span) {
    if (!span.isValid()) {
      return 0;
    }
    long bytes = TRACE_BYTES;
    for (Map.Entry<String, String> entry : span.getTraceState().asMap().entrySet()) {
      bytes += entry.getKey().length() + entry.getValue().length();
    }
    return bytes;
  }

  private boolean reserve(long size) {
    long now = heldBytes.get();
    while (now + size <= bufferBytes) {
      if (heldBytes.compareAndSet(now, now + size)) {
        held.incrementAndGet();
        return true;
      }
      now = heldBytes.get();
    }
    return false;
  }

  private void release(Held item) {
    heldBytes.addAndGet(-item.size());
    if (held.decrementAndGet() == 0) {
      lock.lock();
      try {
        changed.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }

  private Receipt drop(String id, DropReason reason, String message) {
    dropped.get(reason).increment();
    return new Receipt(
        id,
        Optional.of(reason),
        CompletableFuture.failedFuture(new MirrorDropException(reason, message, null)));
  }

  private void fail(Held item, DropReason reason, String message, Throwable cause) {
    dropped.get(reason).increment();
    release(item);
    item.delivery().completeExceptionally(new MirrorDropException(reason, message, cause));
  }

  private void send() {
    try {
      while (!ended) {
        Held item = queue.take();
        try {
          send(item);
        } catch (RuntimeException e) {
          // Counted as a drop; the mirror must outlive any one request. Kafka's own interruption
          // leaves the flag set, so that take ends the loop.
          settle(item, null, e);
        }
      }
    } catch (InterruptedException e) {
      // Close counts what is left.
      Thread.currentThread().interrupt();
    }
  }

  private void send(Held item) {
    Optional<MirrorRequest> redacted = redaction.of(item.request());
    if (redacted.isEmpty()) {
      fail(
          item,
          DropReason.NOT_REDACTED,
          "request " + item.id() + ": not looked through in time, see reflux.mirror.redact",
          null);
      return;
    }
    MirrorRequest request = redacted.get();
    String id = request.requestId().orElse(item.id());
    String key = request.conversationId().orElse(id);
    var unused =
        writer
            .send(key, toAvro(item, request, id), item.receivedAt(), item.trace())
            .whenComplete((metadata, error) -> settle(item, metadata, error));
  }

  private void settle(Held item, RecordMetadata metadata, Throwable error) {
    if (error != null) {
      DropReason reason = closed.get() ? DropReason.CLOSED : DropReason.SEND_FAILED;
      if (!closed.get() && failing.compareAndSet(false, true)) {
        log.warn("requests cannot be delivered: {}", error.toString());
      }
      fail(item, reason, "request " + item.id() + ": " + error.getMessage(), error);
      return;
    }
    if (failing.compareAndSet(true, false)) {
      log.info("requests are delivered again");
    }
    delivered.increment();
    deliveredBytes.increment(Math.max(0, metadata.serializedValueSize()));
    release(item);
    item.delivery().complete(metadata);
  }

  private MirroredRequest toAvro(Held item, MirrorRequest request, String id) {
    List<Message> messages =
        request.messages().stream()
            .map(
                turn ->
                    Message.newBuilder().setRole(turn.role()).setContent(turn.content()).build())
            .toList();
    return MirroredRequest.newBuilder()
        .setRequestId(id)
        .setConversationId(request.conversationId().orElse(null))
        .setReceivedAt(item.receivedAt())
        .setSource(source)
        .setSegment(request.segment().orElse(defaultSegment))
        .setTags(request.tags())
        .setSamplingProbability(item.probability())
        .setPrompt(request.prompt().orElse(null))
        .setMessages(messages)
        .setResponse(request.response().orElse(null))
        .setMaxTokens(request.maxTokens().isPresent() ? request.maxTokens().getAsInt() : null)
        .build();
  }

  private record Held(
      MirrorRequest request,
      String id,
      Instant receivedAt,
      double probability,
      Context trace,
      long size,
      CompletableFuture<RecordMetadata> delivery) {}
}
