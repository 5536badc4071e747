package io.reflux.model.runtime;

import ai.onnxruntime.OrtException;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.Generation.FinishReason;
import io.reflux.model.runtime.Generation.Token;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Continues many prompts at the same time (continuous batching, Orca, OSDI 2022): one token each a
 * step, and new prompts join between two steps. A request's tokens depend on its prompt and its
 * sampling alone, whatever else is batched. One thread of its own runs the model; everything public
 * may be called from any thread.
 */
public final class GenerationEngine implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(GenerationEngine.class);

  /**
   * Prompt tokens a run: a longer prompt is read in parts, so that others go on meanwhile. The same
   * for every prompt, or a prompt's tokens would depend on its company.
   */
  private static final int CHUNK = 256;

  /**
   * The same where prompts are reused, by these parts: the finer, the more of a prompt is found
   * again. Float32 products are some 8 % slower in parts of 64, 8-bit ones not at all.
   */
  private static final int REUSED_CHUNK = 64;

  /** Prompt tokens between two steps: what a prompt may delay the sequences under way by. */
  private static final int PREFILL_BUDGET = 512;

  private final ModelConfig config;
  private final EngineOptions options;
  private final int chunk;
  private final DecodeSession session;
  private final Thread worker;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<Continuation> waiting = new ArrayDeque<>();
  private boolean accepting = true;
  private boolean closing;
  private boolean idle = true;

  private final AtomicInteger active = new AtomicInteger();
  private final AtomicLong tokensGenerated = new AtomicLong();
  private final AtomicLong promptTokensRead = new AtomicLong();
  private final AtomicLong promptTokensReused = new AtomicLong();
  private final AtomicLong prefixCacheBytes = new AtomicLong();

  // The worker's own: slots in [0, used) are taken or have just become free.
  private final Continuation[] slots;
  // Null when prompts are always read.
  private final PrefixCache prefixes;
  private final float[] logprobs;
  private final double[] scratch;
  private int used;

  /**
   * Opens a model and starts the engine's thread.
   *
   * @throws ModelException if the cache has no room, or positions are more than the model's
   */
  public GenerationEngine(
      ModelConfig config, Weights weights, EngineOptions options, RuntimeOptions runtime) {
    this.config = config;
    this.options = options;
    boolean reuses = options.prefixCacheBytes() > 0;
    this.chunk = reuses && runtime.device().kind() == Device.Kind.CPU ? REUSED_CHUNK : CHUNK;
    this.session = new DecodeSession(config, weights, options, chunk, runtime);
    this.prefixes =
        reuses
            ? new PrefixCache(
                session.memory(), options.prefixCacheBytes(), chunk, session.positionBytes())
            : null;
    this.slots = new Continuation[options.slots()];
    this.logprobs = new float[config.vocabularySize()];
    this.scratch = new double[config.vocabularySize()];
    this.worker = new Thread(this::work, "reflux-generation");
    worker.setDaemon(true);
    worker.start();
  }

  /**
   * Queues a prompt.
   *
   * @param onToken told every token on the engine's thread, so it must be quick; null for nobody
   * @throws ModelException if the request is not possible; it names the value
   * @throws RejectedExecutionException if the engine is draining or closed
   */
  public GenerationHandle submit(GenerationRequest request, Consumer<Token> onToken) {
    int room = check(request);
    GenerationHandle handle = new GenerationHandle(this::cancel);
    Continuation continuation =
        new Continuation(request, handle, onToken, Math.min(room, request.maxTokens()));
    lock.lock();
    try {
      if (!accepting) {
        throw new RejectedExecutionException("engine: closed");
      }
      waiting.add(continuation);
      idle = false;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    return handle;
  }

  /** Sequences being continued. */
  public int active() {
    return active.get();
  }

  /** Requests that wait for a slot. */
  public int queued() {
    lock.lock();
    try {
      return waiting.size();
    } finally {
      lock.unlock();
    }
  }

  /** Tokens drawn since the engine was opened. */
  public long tokensGenerated() {
    return tokensGenerated.get();
  }

  /** Tokens of prompts that the model has read. */
  public long promptTokensRead() {
    return promptTokensRead.get();
  }

  /** Tokens of prompts that it need not read, because another began alike. */
  public long promptTokensReused() {
    return promptTokensReused.get();
  }

  /** Memory that the beginnings of prompts take now. */
  public long prefixCacheBytes() {
    return prefixCacheBytes.get();
  }

  /** Slots and positions. */
  public EngineOptions options() {
    return options;
  }

  /**
   * Takes no more requests, and waits until those it has are done.
   *
   * @return whether they are; if not, {@link #close} cancels them
   */
  public boolean drain(Duration timeout) throws InterruptedException {
    long nanos = timeout.toNanos();
    lock.lockInterruptibly();
    try {
      accepting = false;
      while (!idle && !closing) {
        if (nanos <= 0) {
          return false;
        }
        nanos = changed.awaitNanos(nanos);
      }
      return idle;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends every request with the tokens it has, as cancelled, and frees the model. Waits for the
   * step under way, unless it is called from a token callback.
   */
  @Override
  public void close() {
    lock.lock();
    try {
      accepting = false;
      closing = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    if (Thread.currentThread() == worker) {
      return;
    }
    boolean interrupted = false;
    while (worker.isAlive()) {
      try {
        worker.join(TimeUnit.SECONDS.toMillis(1));
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Returns how many tokens fit behind the prompt. */
  private int check(GenerationRequest request) {
    int tokens = request.promptIds().length;
    if (tokens < 1 || tokens >= options.maxPositions()) {
      throw new ModelException(
          "prompt: %d tokens (expected: 1 to %d, so that one more fits)"
              .formatted(tokens, options.maxPositions() - 1));
    }
    if (request.maxTokens() < 1) {
      throw new ModelException("max tokens: " + request.maxTokens() + " (expected: at least 1)");
    }
    if (request.topLogprobs() < 0 || request.topLogprobs() > config.vocabularySize()) {
      throw new ModelException(
          "top logprobs: %d (expected: 0 to %d)"
              .formatted(request.topLogprobs(), config.vocabularySize()));
    }
    TokenIds.check("prompt: token id", request.promptIds(), config);
    return options.maxPositions() - tokens;
  }

  /** Takes a request out of the queue; one that has a slot is ended by the worker. */
  private void cancel(GenerationHandle handle) {
    Continuation found = null;
    lock.lock();
    try {
      for (Continuation candidate : waiting) {
        if (candidate.handle() == handle) {
          found = candidate;
        }
      }
      if (found != null) {
        waiting.remove(found);
      }
    } finally {
      lock.unlock();
    }
    if (found != null) {
      found.end(FinishReason.CANCELLED);
    }
  }

  private void work() {
    Throwable failure = null;
    try {
      while (awaitWork()) {
        free();
        admit();
        compact();
        prefill();
        step();
      }
    } catch (RuntimeException | Error e) {
      failure = e;
      log.error("The generation engine stops: {}", e.toString(), e);
    } finally {
      finish(failure);
    }
  }

  /** Returns false when the engine is to end. */
  private boolean awaitWork() {
    lock.lock();
    try {
      while (!closing && waiting.isEmpty() && active.get() == 0) {
        idle = true;
        changed.signalAll();
        changed.awaitUninterruptibly();
      }
      return !closing;
    } finally {
      lock.unlock();
    }
  }

  /** Empties the slots of sequences that have ended. */
  private void free() {
    int running = 0;
    for (int slot = 0; slot < used; slot++) {
      Continuation continuation = slots[slot];
      if (!continuation.ended() && continuation.handle().abandoned()) {
        continuation.end(FinishReason.CANCELLED);
      }
      if (continuation.ended()) {
        slots[slot] = null;
      } else {
        running++;
      }
    }
    active.set(running);
  }

  /** Gives free slots to those that wait, the longest first. */
  private void admit() {
    for (int slot = 0; slot < slots.length; slot++) {
      if (slots[slot] != null) {
        continue;
      }
      lock.lock();
      try {
        Continuation next = waiting.poll();
        if (next == null) {
          return;
        }
        slots[slot] = next;
        used = Math.max(used, slot + 1);
        active.incrementAndGet();
      } finally {
        lock.unlock();
      }
    }
  }

  /** Moves the last sequences into free slots, so that a step works on no empty ones. */
  private void compact() {
    int hole = 0;
    while (true) {
      while (used > 0 && slots[used - 1] == null) {
        used--;
      }
      while (hole < used && slots[hole] != null) {
        hole++;
      }
      if (hole >= used) {
        return;
      }
      Continuation moved = slots[used - 1];
      session.move(used - 1, hole, moved.cached());
      slots[hole] = moved;
      slots[used - 1] = null;
    }
  }

  private void prefill() {
    int budget = PREFILL_BUDGET;
    for (int slot = 0; slot < used && budget > 0; slot++) {
      Continuation continuation = slots[slot];
      while (continuation.prefilling() && budget > 0) {
        int from = continuation.cached();
        int to = Math.min(from + chunk, continuation.prompt().length);
        if (reuse(continuation, slot, from, to)) {
          continue;
        }
        budget -= to - from;
        try {
          session.prefill(slot, continuation.prompt(), from, to);
        } catch (OrtException e) {
          continuation.fail(OrtSessions.failure("prompt of %d tokens".formatted(to), e));
          break;
        }
        promptTokensRead.addAndGet(to - from);
        continuation.cached(to);
        boolean whole = !continuation.prefilling();
        if (whole) {
          session.logprobs(0, logprobs);
          advance(continuation);
        }
        keep(continuation, slot, from, to, whole);
      }
    }
  }

  /** Takes a part of a prompt from the cache; false if it is not there. */
  private boolean reuse(Continuation continuation, int slot, int from, int to) {
    PrefixCache.Block block =
        prefixes == null ? null : prefixes.find(continuation.prompt(), from, to);
    if (block == null) {
      return false;
    }
    session.load(slot, from, to, block.memory());
    promptTokensReused.addAndGet(to - from);
    continuation.reused(to);
    if (!continuation.prefilling()) {
      System.arraycopy(block.logprobs(), 0, logprobs, 0, logprobs.length);
      advance(continuation);
    }
    return true;
  }

  private void keep(Continuation continuation, int slot, int from, int to, boolean whole) {
    if (prefixes == null) {
      return;
    }
    prefixes.add(
        continuation.prompt(),
        from,
        to,
        memory -> session.save(slot, from, to, memory),
        whole ? logprobs : null);
    prefixCacheBytes.set(prefixes.bytes());
  }

  private void step() {
    int decoding = 0;
    for (int slot = 0; slot < used; slot++) {
      Continuation continuation = slots[slot];
      if (continuation.decoding()) {
        session.feed(slot, continuation.lastToken(), continuation.cached());
        decoding++;
      } else {
        // Written where the next part of its prompt goes, or into a slot that is free anyway.
        session.feed(slot, 0, continuation.ended() ? 0 : continuation.cached());
      }
    }
    if (decoding == 0) {
      return;
    }
    try {
      session.step(used);
    } catch (OrtException e) {
      failDecoding(OrtSessions.failure("step of %d sequences".formatted(used), e));
      return;
    }
    for (int slot = 0; slot < used; slot++) {
      Continuation continuation = slots[slot];
      if (continuation.decoding()) {
        continuation.cached(continuation.cached() + 1);
        session.logprobs(slot, logprobs);
        advance(continuation);
      }
    }
  }

  /** Draws from the log-probs that stand ready. */
  private void advance(Continuation continuation) {
    continuation.advance(logprobs, scratch);
    tokensGenerated.incrementAndGet();
  }

  /** A step fails for all that take part in it; those still reading their prompt go on. */
  private void failDecoding(ModelException failure) {
    for (int slot = 0; slot < used; slot++) {
      if (slots[slot].decoding()) {
        slots[slot].fail(failure);
      }
    }
  }

  private void finish(Throwable failure) {
    Deque<Continuation> left = new ArrayDeque<>();
    lock.lock();
    try {
      accepting = false;
      closing = true;
      left.addAll(waiting);
      waiting.clear();
    } finally {
      lock.unlock();
    }
    for (int slot = 0; slot < used; slot++) {
      if (slots[slot] != null && !slots[slot].ended()) {
        left.addFirst(slots[slot]);
      }
    }
    active.set(0);
    for (Continuation continuation : left) {
      if (failure == null) {
        continuation.end(FinishReason.CANCELLED);
      } else {
        continuation.fail(new ModelException("engine: stopped by " + failure, failure));
      }
    }
    session.close();
    lock.lock();
    try {
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }
}
