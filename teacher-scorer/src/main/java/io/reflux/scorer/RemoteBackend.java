package io.reflux.scorer;

import io.reflux.model.ModelException;
import io.reflux.model.ModelText;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.schemas.service.RefluxException;
import io.reflux.scorer.remote.Call;
import io.reflux.scorer.remote.RemoteApi;
import io.reflux.scorer.remote.RemoteOptions;
import io.reflux.scorer.remote.RemoteTeacher;
import io.reflux.scorer.remote.ServerUnavailableException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.LongAdder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The teacher on a server, one call a sequence. */
final class RemoteBackend implements TeacherBackend {
  private static final Logger log = LoggerFactory.getLogger(RemoteBackend.class);

  private final RemoteTeacher teacher;
  private final int lanes;
  private final String name;
  private final LongAdder busyNanos = new LongAdder();
  private final LongAdder tokensScored = new LongAdder();
  private final LongAdder tokensGenerated = new LongAdder();

  private RemoteBackend(RemoteTeacher teacher, int lanes, String name) {
    this.teacher = teacher;
    this.lanes = lanes;
    this.name = name;
  }

  /**
   * Finds the server and makes sure that it is the teacher whose text this is.
   *
   * @param maxSequence longest sequence, prompt and answer
   * @throws RefluxException in one line, what does not fit
   */
  static RemoteBackend open(ModelText text, ScorerConfig settings, int maxSequence) {
    ScorerConfig.Remote remote = settings.remote();
    check(settings);
    RemoteTeacher teacher =
        RemoteTeacher.open(
            new RemoteOptions(
                remote.url().orElseThrow(),
                remote.model(),
                RemoteApi.parse(remote.api()),
                remote.concurrency(),
                remote.timeout(),
                remote.attempts(),
                remote.apiKey()),
            text,
            settings.topK(),
            maxSequence,
            new SamplingOptions(settings.temperature(), 1, 0, 1));
    log.info("teacher: {}", teacher.description());
    if (settings.rolloutEncoding().equals("support") && !teacher.givesSupport()) {
      log.info(
          "rollouts are labelled with the {} likeliest ids: the server tells no log-probs of the"
              + " ids that a rollout carries",
          settings.topK());
    }
    return new RemoteBackend(teacher, remote.concurrency(), remote.api());
  }

  /** Nothing that a server has no ear for may seem to be heeded. */
  private static void check(ScorerConfig settings) {
    requireUnset("device", settings.device(), "cpu");
    requireUnset("precision", settings.precision(), "auto");
    refuseDraws("encoding", settings.encoding());
    refuseDraws("rollout-encoding", settings.rolloutEncoding());
    if (settings.labelTemperature() != 1) {
      throw new RefluxException(
          "reflux.score.label-temperature: "
              + settings.labelTemperature()
              + " (expected: 1 with reflux.score.remote.url: a server tells its own distribution)");
    }
  }

  /**
   * Refuses settings of a server that is not named.
   *
   * @throws RefluxException naming the setting
   */
  static void requireNone(ScorerConfig.Remote remote) {
    Optional<String> set =
        remote.model().isPresent()
            ? Optional.of("model: " + remote.model().get())
            : remote.apiKey().map(key -> "api-key: set");
    if (set.isPresent()) {
      throw new RefluxException(
          "reflux.score.remote." + set.get() + " (expected: reflux.score.remote.url with it)");
    }
  }

  private static void requireUnset(String key, String value, String unset) {
    if (!value.equals(unset)) {
      throw new RefluxException(
          "reflux.score."
              + key
              + ": "
              + value
              + " (expected: none with reflux.score.remote.url, whose server has the teacher)");
    }
  }

  private static void refuseDraws(String key, String value) {
    if (value.equals("sampled")) {
      throw new RefluxException(
          "reflux.score."
              + key
              + ": sampled (expected: topk"
              + (key.startsWith("rollout") ? " or support" : "")
              + " with reflux.score.remote.url: a server tells its likeliest ids and draws none)");
    }
  }

  @Override
  public String fingerprint() {
    return teacher.fingerprint();
  }

  /** A batch may be a single sequence: then it takes as many to keep the server busy. */
  @Override
  public int lanes() {
    return lanes;
  }

  @Override
  public int openAnswers() {
    return lanes;
  }

  @Override
  public CompletableFuture<List<LabelBlock>> label(List<LabelTask> batch) {
    List<CompletableFuture<LabelBlock>> blocks = batch.stream().map(this::label).toList();
    return CompletableFuture.allOf(blocks.toArray(CompletableFuture[]::new))
        .handle((done, failure) -> gather(blocks));
  }

  private CompletableFuture<LabelBlock> label(LabelTask task) {
    int[] ids = task.sequence().tokenIds();
    int first = task.sequence().promptLength();
    if (task.encoding() == LabelEncoding.SAMPLED) {
      return CompletableFuture.failedFuture(
          new ModelException("labels: sampled (expected: topk from a server)"));
    }
    long start = System.nanoTime();
    boolean support =
        task.encoding() == LabelEncoding.SUPPORT
            && task.supportSize() > 0
            && teacher.givesSupport();
    CompletableFuture<LabelBlock> block =
        support
            ? teacher.scoreSupport(ids, first, task.supportIds(), task.supportSize())
            : teacher.score(ids, first);
    return block.whenComplete(
        (done, failure) -> {
          busyNanos.add(System.nanoTime() - start);
          if (done != null) {
            tokensScored.add(ids.length);
          }
        });
  }

  /** All of them, or the failure that says most: a server that is away makes none of them bad. */
  private static List<LabelBlock> gather(List<CompletableFuture<LabelBlock>> blocks) {
    Optional<RuntimeException> bad = Optional.empty();
    for (CompletableFuture<LabelBlock> block : blocks) {
      Optional<RuntimeException> failure = failureOf(block);
      if (failure.isPresent() && failure.get() instanceof TeacherUnavailableException away) {
        throw away;
      }
      bad = bad.or(() -> failure);
    }
    if (bad.isPresent()) {
      throw bad.get();
    }
    return blocks.stream().map(CompletableFuture::join).toList();
  }

  private static Optional<RuntimeException> failureOf(CompletableFuture<?> future) {
    try {
      future.join();
      return Optional.empty();
    } catch (CompletionException e) {
      return Optional.of(failureOf(e.getCause()));
    }
  }

  private static RuntimeException failureOf(Throwable cause) {
    if (cause instanceof ServerUnavailableException away) {
      return new TeacherUnavailableException(away.getMessage(), away);
    }
    return cause instanceof ModelException bad ? bad : new CompletionException(cause);
  }

  @Override
  public PendingAnswer answer(Question question, SamplingOptions sampling, Set<Integer> stopIds) {
    Call<int[]> call =
        teacher.answer(question.promptIds(), question.maxTokens(), sampling, stopIds);
    CompletableFuture<int[]> ids =
        call.result()
            .handle(
                (answer, failure) -> {
                  if (failure != null) {
                    throw failureOf(
                        failure instanceof CompletionException ? failure.getCause() : failure);
                  }
                  tokensGenerated.add(answer.length);
                  return answer;
                });
    return new PendingAnswer(ids, call.cancel());
  }

  @Override
  public long tokensGenerated() {
    return tokensGenerated.sum();
  }

  /** Calls at the same time add up, the wait for a turn included. */
  @Override
  public Map<String, Long> busyNanos() {
    return Map.of(name, busyNanos.sum());
  }

  @Override
  public Map<String, Long> tokensScored() {
    return Map.of(name, tokensScored.sum());
  }

  @Override
  public void close() {
    teacher.close();
  }
}
