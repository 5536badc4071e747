package io.reflux.model.runtime;

import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** A request that was submitted to a {@link GenerationEngine}. */
public final class GenerationHandle {
  private final CompletableFuture<Generation> result = new CompletableFuture<>();
  private final Consumer<GenerationHandle> canceller;
  private volatile boolean cancelled;

  GenerationHandle(Consumer<GenerationHandle> canceller) {
    this.canceller = canceller;
  }

  /**
   * The continuation. It fails with a {@link io.reflux.model.ModelException} if the model does, and
   * with what the token callback throws. Dependent stages run on the engine's thread: use the async
   * ones for anything slow.
   */
  public CompletableFuture<Generation> result() {
    return result;
  }

  /** Ends the continuation soon, with the tokens so far; nothing if it has ended. */
  public void cancel() {
    cancelled = true;
    canceller.accept(this);
  }

  /** Whether nobody waits for more tokens. */
  boolean abandoned() {
    return cancelled || result.isDone();
  }
}
