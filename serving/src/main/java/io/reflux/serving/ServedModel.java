package io.reflux.serving;

import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.snapshots.FetchedSnapshot;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/**
 * One version in memory. It lives as long as somebody holds it: the subscriber while it is the
 * current one, and every request that began on it.
 */
public final class ServedModel {
  private final FetchedSnapshot snapshot;
  private final LanguageModel model;
  private final GenerationEngine engine;
  private final int maxPositions;
  private final Executor closer;
  private final Runnable onClosed;

  /** The subscriber's own hold counts as one. */
  private final AtomicInteger holds = new AtomicInteger(1);

  /**
   * @param closer runs the closing of the engine, which must not happen on the engine's own thread
   */
  ServedModel(
      FetchedSnapshot snapshot,
      LanguageModel model,
      GenerationEngine engine,
      int maxPositions,
      Executor closer,
      Runnable onClosed) {
    this.snapshot = snapshot;
    this.model = model;
    this.engine = engine;
    this.maxPositions = maxPositions;
    this.closer = closer;
    this.onClosed = onClosed;
  }

  /** The snapshot's version. */
  public long version() {
    return snapshot.version();
  }

  /** The snapshot with its manifest. */
  public FetchedSnapshot snapshot() {
    return snapshot;
  }

  /** The verified model directory. */
  public Path directory() {
    return snapshot.directory();
  }

  /** Tokenizer, template and configuration. */
  public LanguageModel model() {
    return model;
  }

  /** Longest prompt and continuation together, in tokens. */
  public int maxPositions() {
    return maxPositions;
  }

  /** Short name of version and weights, for people and clients. */
  public String fingerprint() {
    String digest = snapshot.manifest().getStudentFingerprint();
    return "reflux-" + version() + "-" + digest.substring(0, Math.min(12, digest.length()));
  }

  /**
   * Continues a prompt. The caller holds this model through a {@link SnapshotSubscriber.Lease}
   * until the result is there.
   *
   * @param onToken called for each token on the engine's thread, in order; null for nobody
   */
  public GenerationHandle generate(GenerationRequest request, Consumer<Generation.Token> onToken) {
    return engine.submit(request, onToken);
  }

  /** Continuations waiting for a slot. */
  public int queued() {
    return engine.queued();
  }

  /** Memory that the beginnings of prompts take. */
  public long prefixCacheBytes() {
    return engine.prefixCacheBytes();
  }

  /** Continuations in a slot. */
  public int active() {
    return engine.active();
  }

  /** Whether it could be held: false once it is on its way out. */
  boolean hold() {
    int now = holds.get();
    while (now > 0) {
      if (holds.compareAndSet(now, now + 1)) {
        return true;
      }
      now = holds.get();
    }
    return false;
  }

  /** The last one to let go closes it. */
  void letGo() {
    if (holds.decrementAndGet() == 0) {
      closer.execute(
          () -> {
            try {
              engine.close();
            } finally {
              onClosed.run();
            }
          });
    }
  }
}
