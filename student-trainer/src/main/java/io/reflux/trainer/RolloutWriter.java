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
import io.reflux.schemas.registry.RegistryException;
import io.reflux.trainer.Pipeline.Part;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Has the student answer fresh prompts, with weights that are renewed now and then, and sends the
 * answers to be scored, each with the ids that the student itself gave most to. A thread of its
 * own; training never waits for it: prompts that it cannot take up in time are forgotten. Nor does
 * it outrun the others: it yields while enough of its rollouts are being scored, or wait to be
 * trained on.
 */
final class RolloutWriter implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(RolloutWriter.class);
  private static final int MOST_PROMPTS = 256;
  private static final int MOST_POSITIONS = 1024;

  /** A rollout that did not come back by then became a dead letter, or its scorer is gone. */
  private static final Duration SCORED_WITHIN = Duration.ofMinutes(5);

  private static final Duration LOOK_AGAIN = Duration.ofSeconds(1);

  private final TrainerConfig config;
  private final Set<Integer> stopIds;
  private final String tokenizerFingerprint;
  private final String chatTemplateFingerprint;
  private final int positions;
  private final int support;
  private final TopicWriter<Rollout> writer;
  private final TrainerMeters meters;
  private final RandomBits random;
  private final Thread thread;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Deque<Prompt> prompts = new ArrayDeque<>();
  private final Deque<Done> done = new ArrayDeque<>();
  private final Map<String, Long> beingScored = new LinkedHashMap<>();
  private final Map<Part, Long> waited = new EnumMap<>(Part.class);
  private Optional<Student> newer = Optional.empty();
  private int underWay;
  private int ofTheseWeights;
  private long offered;
  private long written;
  private long scored;
  private long lookedNanos;
  private boolean hasStudent;
  private boolean closing;

  /**
   * A prompt to answer.
   *
   * @param trace of the label that brought it; the rollout goes on with it
   */
  record Prompt(
      String requestId, String segment, Instant requestedAt, int[] tokenIds, Context trace) {}

  /**
   * How the writing goes.
   *
   * @param prompts that wait
   * @param writing rollouts under way
   * @param scoring rollouts sent and not yet back
   * @param offered prompts so far
   * @param written rollouts so far
   * @param scored rollouts so far
   * @param waited for what, in nanoseconds; empty before there were weights to write with
   */
  record Progress(
      int prompts,
      int writing,
      int scoring,
      long offered,
      long written,
      long scored,
      Map<Part, Long> waited) {}

  private record Student(ModelConfig config, Weights weights, long step) {}

  private record Done(Prompt prompt, long step, Generation generation) {}

  RolloutWriter(
      TrainerConfig config,
      ModelConfig student,
      LanguageModel teacher,
      TopicWriter<Rollout> writer,
      TrainerMeters meters) {
    this.config = config;
    this.stopIds = teacher.stopIds();
    this.tokenizerFingerprint = teacher.tokenizerFingerprint();
    this.chatTemplateFingerprint = teacher.chatTemplateFingerprint();
    this.positions = Math.min(student.maxPositions(), MOST_POSITIONS);
    this.support = Math.min(config.rolloutSupport(), student.vocabularySize());
    this.writer = writer;
    this.meters = meters;
    // Another run must not repeat the rollouts of this one: the id tells them apart anyway.
    this.random = new RandomBits(config.seed() ^ System.nanoTime());
    this.thread = new Thread(this::work, "reflux-rollouts");
    thread.setDaemon(true);
    thread.start();
  }

  /** From now on rollouts are of these weights, and of their shape. */
  void renew(ModelConfig student, Weights weights, long step) {
    lock.lock();
    try {
      countTime();
      newer = Optional.of(new Student(student, weights, step));
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
      countTime();
      offered++;
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

  /** A rollout is back, or at least its labels are. */
  void scored(String rolloutId) {
    lock.lock();
    try {
      countTime();
      scored++;
      beingScored.remove(rolloutId);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** How it goes. */
  Progress progress() {
    lock.lock();
    try {
      countTime();
      return new Progress(
          prompts.size(),
          underWay,
          beingScored.size(),
          offered,
          written,
          scored,
          Map.copyOf(waited));
    } finally {
      lock.unlock();
    }
  }

  /** Adds the time since the last change to what was waited for meanwhile; with the lock held. */
  private void countTime() {
    long now = System.nanoTime();
    if (hasStudent) {
      waited.merge(narrow(), now - lookedNanos, Long::sum);
    }
    lookedNanos = now;
  }

  /** What the next rollout waits for. */
  private Part narrow() {
    if (!wantsMore()) {
      return Part.TRAINING;
    }
    if (beingScored.size() + done.size() + underWay >= config.rolloutsInFlight()) {
      // Those that are written come after those that are scored.
      return beingScored.size() >= underWay ? Part.TEACHER_SCORING : Part.STUDENT_WRITING;
    }
    boolean full = newer.isPresent() || underWay >= config.rolloutSlots();
    return prompts.isEmpty() && !full ? Part.PROMPTS : Part.STUDENT_WRITING;
  }

  /** Of one student's weights, more than are kept would only push each other out. */
  private boolean wantsMore() {
    return newer.isPresent() || ofTheseWeights < config.rolloutSize();
  }

  private boolean canSubmit() {
    return hasStudent
        && newer.isEmpty()
        && !prompts.isEmpty()
        && underWay < config.rolloutSlots()
        && beingScored.size() + done.size() + underWay < config.rolloutsInFlight()
        && wantsMore();
  }

  private void forgetLost() {
    long oldest = System.nanoTime() - SCORED_WITHIN.toNanos();
    beingScored.values().removeIf(sent -> sent - oldest < 0);
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
        Optional<Student> renewal = awaitWork();
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
                  renewal.get().config(),
                  renewal.get().weights(),
                  new EngineOptions(config.rolloutSlots(), positions),
                  RuntimeOptions.DEFAULT);
          begin();
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

  private void begin() {
    lock.lock();
    try {
      hasStudent = true;
      lookedNanos = System.nanoTime();
      ofTheseWeights = 0;
    } finally {
      lock.unlock();
    }
  }

  /** New weights to take up, once nothing is under way with the old ones. */
  private Optional<Student> awaitWork() {
    lock.lock();
    try {
      while (!closing) {
        forgetLost();
        if (newer.isPresent() && underWay == 0 && done.isEmpty()) {
          countTime();
          Optional<Student> renewal = newer;
          newer = Optional.empty();
          return renewal;
        }
        if (!done.isEmpty() || canSubmit()) {
          return Optional.empty();
        }
        awaitChange();
      }
      return Optional.empty();
    } finally {
      lock.unlock();
    }
  }

  private void awaitChange() {
    try {
      boolean inTime = changed.await(LOOK_AGAIN.toMillis(), TimeUnit.MILLISECONDS);
      log.trace("something has changed: {}", inTime);
    } catch (InterruptedException e) {
      // Nobody interrupts this thread; the one way to end it is close().
      closing = true;
    }
  }

  private void submit(GenerationEngine engine, long step) {
    while (true) {
      Prompt prompt;
      lock.lock();
      try {
        if (!canSubmit()) {
          return;
        }
        countTime();
        // The newest first: what traffic is like now.
        prompt = prompts.removeLast();
        underWay++;
        ofTheseWeights++;
      } finally {
        lock.unlock();
      }
      SamplingOptions sampling =
          new SamplingOptions(config.rolloutTemperature(), 1, 0, random.nextLong());
      var unused =
          engine
              .submit(
                  new GenerationRequest(
                      prompt.tokenIds(), config.rolloutMaxTokens(), sampling, stopIds, support),
                  null)
              .result()
              .whenComplete((generation, error) -> finished(prompt, step, generation, error));
    }
  }

  private void finished(Prompt prompt, long step, Generation generation, Throwable error) {
    lock.lock();
    try {
      countTime();
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
    while (true) {
      Done rollout;
      Rollout record;
      lock.lock();
      try {
        countTime();
        rollout = done.poll();
        if (rollout == null) {
          return;
        }
        record = record(rollout);
        // Before it is sent: its labels may be faster than what says that it was.
        beingScored.put(record.getRolloutId(), System.nanoTime());
        written++;
      } finally {
        lock.unlock();
      }
      send(record, rollout.prompt().trace());
    }
  }

  private void send(Rollout record, Context trace) {
    try {
      var unused =
          writer
              .send(record.getRolloutId(), record, null, trace)
              .whenComplete(
                  (sent, error) -> {
                    if (error == null) {
                      meters.rolloutsSent().increment();
                    } else {
                      notSent(record, error);
                    }
                  });
    } catch (RegistryException e) {
      notSent(record, e);
    }
  }

  private void notSent(Rollout record, Throwable error) {
    meters.rolloutFailures().increment();
    log.warn("Rollout not sent: {}", error.getMessage());
    lock.lock();
    try {
      countTime();
      beingScored.remove(record.getRolloutId());
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private Rollout record(Done rollout) {
    Prompt prompt = rollout.prompt();
    List<Integer> ids = new ArrayList<>();
    for (int id : prompt.tokenIds()) {
      ids.add(id);
    }
    List<Float> logprobs = new ArrayList<>();
    List<Integer> supportIds = new ArrayList<>();
    for (Token token : rollout.generation().tokens()) {
      ids.add(token.id());
      logprobs.add(token.logprob());
      for (int id : token.topIds()) {
        supportIds.add(id);
      }
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
        .setSupportSize(support)
        .setSupportIds(supportIds)
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
