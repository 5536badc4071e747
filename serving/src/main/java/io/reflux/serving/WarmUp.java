package io.reflux.serving;

import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.snapshots.SnapshotException;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs a new engine once before anybody depends on it: memory is touched, kernels are chosen, and a
 * model that does not work is found here.
 */
final class WarmUp {
  private static final String PROMPT = "Hello";
  private static final int TOKENS = 8;
  private static final int PATIENCE_SECONDS = 120;

  private final long version;
  private final LanguageModel model;
  private final GenerationEngine engine;
  private final int maxPositions;

  WarmUp(long version, LanguageModel model, GenerationEngine engine, int maxPositions) {
    this.version = version;
    this.model = model;
    this.engine = engine;
    this.maxPositions = maxPositions;
  }

  /** Throws unless two equal greedy requests, one beside the other, give the same sane tokens. */
  void run() {
    int[] prompt = model.promptIds(PROMPT);
    int tokens = Math.max(1, Math.min(TOKENS, maxPositions - prompt.length));
    GenerationRequest request =
        new GenerationRequest(prompt, tokens, SamplingOptions.GREEDY, Set.of(), 0);
    GenerationHandle first = engine.submit(request, null);
    GenerationHandle second = engine.submit(request, null);
    Generation one = await(first);
    Generation other = await(second);
    if (one.tokens().size() != tokens) {
      throw refused("it gave " + one.tokens().size() + " tokens (expected: " + tokens + ")");
    }
    for (Generation.Token token : one.tokens()) {
      if (!Float.isFinite(token.logprob())
          || token.id() < 0
          || token.id() >= model.config().vocabularySize()) {
        throw refused(
            "it gave token "
                + token.id()
                + " with logprob "
                + token.logprob()
                + " (expected: one of "
                + model.config().vocabularySize()
                + ", finite)");
      }
    }
    if (!Arrays.equals(one.tokenIds(), other.tokenIds())) {
      throw refused(
          "it gave "
              + Arrays.toString(other.tokenIds())
              + " (expected: "
              + Arrays.toString(one.tokenIds())
              + ", as the first time)");
    }
  }

  private Generation await(GenerationHandle handle) {
    try {
      return handle.result().get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw refused("interrupted");
    } catch (ExecutionException e) {
      throw new SnapshotException(
          SnapshotException.Kind.REFUSED,
          "snapshot " + version + ": warm-up: " + e.getCause().getMessage(),
          e.getCause());
    } catch (TimeoutException e) {
      throw refused("no answer in " + PATIENCE_SECONDS + " s (expected: " + TOKENS + " tokens)");
    }
  }

  private SnapshotException refused(String what) {
    return new SnapshotException(
        SnapshotException.Kind.REFUSED, "snapshot " + version + ": warm-up: " + what);
  }
}
