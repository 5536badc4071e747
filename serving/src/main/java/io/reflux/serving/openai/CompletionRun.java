package io.reflux.serving.openai;

import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.serving.ServedModel;
import io.reflux.serving.openai.ChoiceText.Piece;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * All continuations of one request, on one model. The engine's thread, for which every request of
 * this model waits, only leaves its tokens here; an executor that runs one task at a time makes
 * text of them and sends it, as many at once as there are.
 */
final class CompletionRun {
  /**
   * Text goes out at once, and then no more often than this: nobody sees finer steps, and each
   * costs a wake-up of this server, a write, and a read by the client.
   */
  private static final long PACE_MILLIS = 4;

  /** So that the seeds of a request's choices lie far apart. */
  private static final long SEED_STEP = 0x9E3779B97F4A7C15L;

  private final ServedModel served;
  private final CompletionCall call;
  private final List<int[]> prompts;
  private final Sink sink;
  private final Runnable onFirstToken;
  private final Optional<TextTap> tap;
  private final ScheduledExecutorService executor;
  private final Queue<Runnable> inbox = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean paced = new AtomicBoolean();
  private final AtomicInteger unfinished;
  private final AtomicInteger cachedTokens = new AtomicInteger();
  private final AtomicInteger completionTokens = new AtomicInteger();
  private final CompletableFuture<Usage> done = new CompletableFuture<>();
  private final List<GenerationHandle> handles = new ArrayList<>();
  private boolean cancelled;
  private boolean firstTokenSeen;

  /** Where text goes. Never called by two threads at once. */
  interface Sink {
    void piece(int choice, Piece piece);

    void finished(int choice, String finishReason);

    /** Nothing more is known now: what was told should go out. */
    default void flush() {}
  }

  /**
   * Tokens, each prompt counted once however many choices it has.
   *
   * @param cachedTokens of the prompts, that were not read for this request
   */
  record Usage(int promptTokens, int cachedTokens, int completionTokens) {}

  /** Who wants whole texts, whatever becomes of the pieces. */
  interface TextTap {
    void served(int choice, String text);
  }

  /**
   * @param prompts token ids a prompt, each with room for at least one more token
   * @param onFirstToken called once, when the first token of any choice is there
   * @param tap told each choice's text when it has finished
   * @param executor runs one task at a time
   */
  CompletionRun(
      ServedModel served,
      CompletionCall call,
      List<int[]> prompts,
      Sink sink,
      Runnable onFirstToken,
      Optional<TextTap> tap,
      ScheduledExecutorService executor) {
    this.served = served;
    this.call = call;
    this.prompts = prompts;
    this.sink = sink;
    this.onFirstToken = onFirstToken;
    this.tap = tap;
    this.executor = executor;
    this.unfinished = new AtomicInteger(call.totalChoices());
  }

  /** Submits everything; never throws, for {@link #done} tells. */
  void start(int defaultMaxTokens) {
    long seed = call.seed().orElseGet(() -> ThreadLocalRandom.current().nextLong());
    int index = 0;
    for (int[] prompt : prompts) {
      int room = served.maxPositions() - prompt.length;
      int maxTokens = call.maxTokens().orElse(Math.min(defaultMaxTokens, room));
      for (int i = 0; i < call.choices(); i++) {
        SamplingOptions sampling =
            new SamplingOptions(call.temperature(), call.topP(), 0, seed + index * SEED_STEP);
        GenerationRequest request =
            new GenerationRequest(
                prompt,
                maxTokens,
                sampling,
                served.model().stopIds(),
                Math.max(0, call.topLogprobs()));
        try {
          new Choice(index).submit(request);
        } catch (RuntimeException e) {
          // Whatever the engine refuses must reach the client, not the thread that asked.
          fail(e);
          return;
        }
        index++;
      }
    }
  }

  /** Completes when all choices have finished, or with the failure of the first that failed. */
  CompletableFuture<Usage> done() {
    return done;
  }

  /** Stops what still runs. */
  void cancel() {
    fail(new CancellationException("cancelled"));
  }

  /** Stops what still runs, and fails with what is given. */
  void fail(Throwable failure) {
    done.completeExceptionally(failure);
    List<GenerationHandle> running;
    synchronized (handles) {
      cancelled = true;
      running = List.copyOf(handles);
    }
    running.forEach(GenerationHandle::cancel);
  }

  private void add(GenerationHandle handle) {
    boolean late;
    synchronized (handles) {
      handles.add(handle);
      late = cancelled;
    }
    if (late) {
      handle.cancel();
    }
  }

  /** Does something soon, with others that come in the meantime. */
  private void later(Runnable task) {
    inbox.add(task);
    if (paced.compareAndSet(false, true)) {
      execute(this::tick);
    }
  }

  /** Does something, and all that came before it, as soon as it can be done. */
  private void now(Runnable task) {
    inbox.add(task);
    execute(this::drain);
  }

  private void execute(Runnable step) {
    try {
      executor.execute(step);
    } catch (RejectedExecutionException e) {
      // The server is on its way out; what is left is done here.
      drain();
    }
  }

  /** Goes on for as long as something comes. */
  private void tick() {
    if (drain()) {
      try {
        var unused = executor.schedule(this::tick, PACE_MILLIS, TimeUnit.MILLISECONDS);
      } catch (RejectedExecutionException e) {
        paced.set(false);
      }
      return;
    }
    paced.set(false);
    // Something may have come after the last look, and seen that a tick was still to be.
    if (!inbox.isEmpty() && paced.compareAndSet(false, true)) {
      execute(this::tick);
    }
  }

  /** Whether there was anything to do. */
  private boolean drain() {
    boolean any = false;
    synchronized (inbox) {
      for (Runnable task = inbox.poll(); task != null; task = inbox.poll()) {
        task.run();
        any = true;
      }
      sink.flush();
    }
    return any;
  }

  private void tokenSeen() {
    if (!firstTokenSeen) {
      firstTokenSeen = true;
      onFirstToken.run();
    }
  }

  /** One continuation; all but {@link #submit} is done by the executor. */
  private final class Choice {
    private final int index;
    private final StringBuilder whole = new StringBuilder();
    private final ChoiceText text;

    /** The handle is known only after the first tokens may have come. */
    private final CompletableFuture<GenerationHandle> handle = new CompletableFuture<>();

    Choice(int index) {
      this.index = index;
      this.text =
          new ChoiceText(served.model().tokenizer(), served.model().stopIds(), call.stops());
    }

    void submit(GenerationRequest request) {
      GenerationHandle submitted = served.generate(request, token -> later(() -> token(token)));
      add(submitted);
      handle.complete(submitted);
      var unused =
          submitted
              .result()
              .whenComplete((generation, failure) -> now(() -> end(generation, failure)));
    }

    private void token(Generation.Token token) {
      if (text.stopped() || done.isDone()) {
        return;
      }
      tokenSeen();
      try {
        Piece piece = text.push(token);
        if (!piece.isEmpty()) {
          give(piece);
        }
      } catch (RuntimeException e) {
        // Told to the client, not to the thread that serves others as well.
        fail(e);
        return;
      }
      if (text.stopped()) {
        var unused = handle.thenAccept(GenerationHandle::cancel);
      }
    }

    private void end(Generation generation, Throwable failure) {
      if (done.isDone()) {
        return;
      }
      try {
        if (failure != null && !text.stopped()) {
          fail(failure instanceof CompletionException ? failure.getCause() : failure);
          return;
        }
        Piece rest = text.finish();
        if (!rest.isEmpty()) {
          give(rest);
        }
        sink.finished(index, finishReason(generation));
      } catch (RuntimeException e) {
        fail(e);
        return;
      }
      completionTokens.addAndGet(text.tokens());
      if (generation != null && index % call.choices() == 0) {
        cachedTokens.addAndGet(generation.cachedPromptTokens());
      }
      tap.ifPresent(listener -> listener.served(index, whole.toString()));
      if (unfinished.decrementAndGet() == 0) {
        int promptTokens = prompts.stream().mapToInt(ids -> ids.length).sum();
        done.complete(new Usage(promptTokens, cachedTokens.get(), completionTokens.get()));
      }
    }

    private void give(Piece piece) {
      sink.piece(index, piece);
      if (tap.isPresent()) {
        whole.append(piece.text());
      }
    }

    private String finishReason(Generation generation) {
      if (text.stopped()) {
        return "stop";
      }
      return switch (generation.finishReason()) {
        case STOP -> "stop";
        case LENGTH -> "length";
        case CANCELLED -> throw new CancellationException("cancelled");
      };
    }
  }
}
