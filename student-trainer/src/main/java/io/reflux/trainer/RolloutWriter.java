package io.reflux.trainer;

import io.opentelemetry.context.Context;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.Generation.FinishReason;
import io.reflux.model.runtime.Generation.Token;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.kafka.TopicWriter;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Has the student answer fresh prompts, with weights that are renewed now and then, and sends the
 * answers to be scored. A thread of its own; training never waits for it: prompts that it cannot
 * take up in time are forgotten.
 */
final class RolloutWriter implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(RolloutWriter.class);
  private static final int MOST_PROMPTS = 256;
  private static final int MOST_POSITIONS = 1024;

  private final TrainerConfig config;
  private final ModelConfig student;
  private final Set<Integer> stopIds;
  private final String tokenizerFingerprint;
  private final String chatTemplateFingerprint;
  private final int positions;
  private final TopicWriter<Rollout> writer;
  private final TrainerMeters meters;
  private final RandomBits random;
  private final Thread thread;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<Prompt> prompts = new ArrayDeque<>();
  private final Deque<Done> done = new ArrayDeque<>();
  private Optional<Student> newer = Optional.empty();
  private int underWay;
  private boolean closing;

  /**
   * A prompt to answer.
   *
   * @param trace of the label that brought it; the rollout goes on with it
   */
  record Prompt(
      String requestId, String segment, Instant requestedAt, int[] tokenIds, Context trace) {}

  private record Student(Weights weights, long step) {}

  private record Done(Prompt prompt, long step, Generation generation) {}

  RolloutWriter(
      TrainerConfig config,
      ModelConfig student,
      LanguageModel teacher,
      TopicWriter<Rollout> writer,
      TrainerMeters meters) {
    this.config = config;
    this.student = student;
    this.stopIds = teacher.stopIds();
    this.tokenizerFingerprint = teacher.tokenizerFingerprint();
    this.chatTemplateFingerprint = teacher.chatTemplateFingerprint();
    this.positions = Math.min(student.maxPositions(), MOST_POSITIONS);
    this.writer = writer;
    this.meters = meters;
    // Another run must not repeat the rollouts of this one: the id tells them apart anyway.
    this.random = new RandomBits(config.seed() ^ System.nanoTime());
    this.thread = new Thread(this::work, "reflux-rollouts");
    thread.setDaemon(true);
    thread.start();
  }

  /** From now on rollouts are of these weights. */
  void renew(Weights weights, long step) {
    lock.lock();
    try {
      newer = Optional.of(new Student(weights, step));
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** A prompt to answer if there is time. */
  void offer(Prompt prompt) {
    if (prompt.tokenIds().length + config.rolloutMaxTokens() > positions) {
      return;
    }
    lock.lock();
    try {
      prompts.add(prompt);
      if (prompts.size() > MOST_PROMPTS) {
        prompts.remove();
        meters.rolloutPromptsForgotten().increment();
      }
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() {
    lock.lock();
    try {
      closing = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void work() {
    GenerationEngine engine = null;
    long step = 0;
    try {
      while (true) {
        Optional<Student> renewal = awaitWork(engine != null);
        if (isClosing()) {
          return;
        }
        if (renewal.isPresent()) {
          if (engine != null) {
            engine.close();
          }
          step = renewal.get().step();
          engine =
              new GenerationEngine(
                  student,
                  renewal.get().weights(),
                  new EngineOptions(config.rolloutSlots(), positions),
                  RuntimeOptions.DEFAULT);
        }
        sendDone();
        submit(engine, step);
      }
    } catch (RuntimeException e) {
      // Training goes on by data alone; the status shows that nothing is written any more.
      log.error("Rollouts have stopped: {}", e.getMessage(), e);
      meters.rolloutFailures().increment();
    } finally {
      if (engine != null) {
        engine.close();
      }
    }
  }

  /** New weights to take up, once nothing is under way with the old ones. */
  private Optional<Student> awaitWork(boolean hasStudent) {
    lock.lock();
    try {
      while (!closing) {
        if (newer.isPresent() && underWay == 0 && done.isEmpty()) {
          Optional<Student> renewal = newer;
          newer = Optional.empty();
          return renewal;
        }
        boolean canSubmit =
            hasStudent && newer.isEmpty() && !prompts.isEmpty() && underWay < config.rolloutSlots();
        if (!done.isEmpty() || canSubmit) {
          return Optional.empty();
        }
        changed.awaitUninterruptibly();
      }
      return Optional.empty();
    } finally {
      lock.unlock();
    }
  }

  private void submit(GenerationEngine engine, long step) {
    while (true) {
      Prompt prompt;
      lock.lock();
      try {
        boolean wait =
            engine == null
                || newer.isPresent()
                || prompts.isEmpty()
                || underWay >= config.rolloutSlots();
        if (wait) {
          return;
        }
        // The newest first: what traffic is like now.
        prompt = prompts.removeLast();
        underWay++;
      } finally {
        lock.unlock();
      }
      SamplingOptions sampling =
          new SamplingOptions(config.rolloutTemperature(), 1, 0, random.nextLong());
      var unused =
          engine
              .submit(
                  new GenerationRequest(
                      prompt.tokenIds(), config.rolloutMaxTokens(), sampling, stopIds, 0),
                  null)
              .result()
              .whenComplete((generation, error) -> finished(prompt, step, generation, error));
    }
  }

  private void finished(Prompt prompt, long step, Generation generation, Throwable error) {
    lock.lock();
    try {
      underWay--;
      if (error != null) {
        log.warn("Rollout of request {} failed: {}", prompt.requestId(), error.getMessage());
        meters.rolloutFailures().increment();
      } else if (generation.finishReason() != FinishReason.CANCELLED
          && !generation.tokens().isEmpty()) {
        done.add(new Done(prompt, step, generation));
      }
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void sendDone() {
    List<Done> finished = new ArrayList<>();
    lock.lock();
    try {
      finished.addAll(done);
      done.clear();
    } finally {
      lock.unlock();
    }
    for (Done rollout : finished) {
      Rollout record = record(rollout);
      var unused =
          writer
              .send(record.getRolloutId(), record, null, rollout.prompt().trace())
              .whenComplete(
                  (sent, error) -> {
                    if (error == null) {
                      meters.rolloutsSent().increment();
                    } else {
                      meters.rolloutFailures().increment();
                      log.warn("Rollout not sent: {}", error.getMessage());
                    }
                  });
    }
  }

  private Rollout record(Done rollout) {
    Prompt prompt = rollout.prompt();
    List<Integer> ids = new ArrayList<>();
    for (int id : prompt.tokenIds()) {
      ids.add(id);
    }
    List<Float> logprobs = new ArrayList<>();
    for (Token token : rollout.generation().tokens()) {
      ids.add(token.id());
      logprobs.add(token.logprob());
    }
    return Rollout.newBuilder()
        .setRolloutId(UUID.randomUUID().toString())
        .setRequestId(prompt.requestId())
        .setSegment(prompt.segment())
        .setRequestedAt(prompt.requestedAt())
        .setCreatedAt(Instant.now())
        .setStudentVersion(rollout.step())
        .setTokenizerFingerprint(tokenizerFingerprint)
        .setChatTemplateFingerprint(chatTemplateFingerprint)
        .setTokenIds(ids)
        .setPromptLength(prompt.tokenIds().length)
        .setSampledLogprobs(logprobs)
        .setTemperature((float) config.rolloutTemperature())
        .build();
  }

  private boolean isClosing() {
    lock.lock();
    try {
      return closing;
    } finally {
      lock.unlock();
    }
  }
}
