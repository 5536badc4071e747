package io.reflux.scorer;

import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.ScorerOptions;
import io.reflux.model.runtime.Scores;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The teacher on one device: a thread that scores one batch after the other, and an engine that
 * writes answers. Safe for several threads.
 */
final class Lane implements AutoCloseable {
  private final String name;
  private final Scorer scorer;
  private final GenerationEngine engine;
  private final ExecutorService thread;
  private final AtomicLong waitingTokens = new AtomicLong();
  private final AtomicInteger openAnswers = new AtomicInteger();
  private final AtomicLong busyNanos = new AtomicLong();
  private final AtomicLong tokensScored = new AtomicLong();

  private Lane(String name, Scorer scorer, GenerationEngine engine) {
    this.name = name;
    this.scorer = scorer;
    this.engine = engine;
    this.thread =
        Executors.newSingleThreadExecutor(
            task -> {
              Thread made = new Thread(task, "reflux-lane-" + name);
              made.setDaemon(true);
              return made;
            });
  }

  /**
   * Opens both graphs of the model on a device.
   *
   * @param name by which it is known in threads and meters
   */
  static Lane open(
      String name,
      LanguageModel model,
      ScorerOptions labels,
      EngineOptions answers,
      RuntimeOptions runtime) {
    Scorer scorer = new Scorer(model.config(), model.weights(), labels, runtime);
    try {
      return new Lane(
          name, scorer, new GenerationEngine(model.config(), model.weights(), answers, runtime));
    } catch (RuntimeException e) {
      scorer.close();
      throw e;
    }
  }

  String name() {
    return name;
  }

  /** Of batches that were handed in and are not done. */
  long waitingTokens() {
    return waitingTokens.get();
  }

  int openAnswers() {
    return openAnswers.get();
  }

  long tokensGenerated() {
    return engine.tokensGenerated();
  }

  long busyNanos() {
    return busyNanos.get();
  }

  long tokensScored() {
    return tokensScored.get();
  }

  /** Scores of a batch, in order; what follows on them should run elsewhere. */
  CompletableFuture<List<Scores>> score(List<LabelTask> batch) {
    long tokens = batch.stream().mapToLong(task -> task.sequence().length()).sum();
    waitingTokens.addAndGet(tokens);
    return CompletableFuture.supplyAsync(
        () -> {
          long start = System.nanoTime();
          try {
            return scores(batch);
          } finally {
            busyNanos.addAndGet(System.nanoTime() - start);
            tokensScored.addAndGet(tokens);
            waitingTokens.addAndGet(-tokens);
          }
        },
        thread);
  }

  private List<Scores> scores(List<LabelTask> batch) {
    return scorer.score(
        batch.stream()
            .map(
                task ->
                    new ScoreRequest(
                        task.sequence().tokenIds(),
                        task.sequence().promptLength(),
                        task.supportIds(),
                        task.supportSize(),
                        task.seed(),
                        task.temperature()))
            .toList());
  }

  /** See {@link TeacherBackend#answer}. */
  GenerationHandle answer(Question question, SamplingOptions sampling, Set<Integer> stopIds) {
    GenerationHandle handle =
        engine.submit(
            new GenerationRequest(question.promptIds(), question.maxTokens(), sampling, stopIds, 0),
            null);
    openAnswers.incrementAndGet();
    var unused = handle.result().whenComplete((done, failure) -> openAnswers.decrementAndGet());
    return handle;
  }

  /** Ends answers under way; waits for the batch that is being scored. */
  @Override
  public void close() {
    thread.shutdownNow();
    engine.close();
    scorer.close();
  }
}
