package io.reflux.scorer;

import io.reflux.model.ModelException;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.labels.LabelBlock;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;

/** A teacher that can be told to be away, to stumble over a token, or to keep its labels back. */
final class FaultyBackend implements TeacherBackend {
  private final TeacherBackend whole;
  final AtomicInteger asked = new AtomicInteger();
  volatile boolean away;
  volatile int poison = -1;
  volatile CompletableFuture<Void> gate = CompletableFuture.completedFuture(null);

  FaultyBackend(TeacherBackend whole) {
    this.whole = whole;
  }

  @Override
  public String fingerprint() {
    return whole.fingerprint();
  }

  @Override
  public int lanes() {
    return whole.lanes();
  }

  @Override
  public int openAnswers() {
    return whole.openAnswers();
  }

  @Override
  public CompletableFuture<List<LabelBlock>> label(List<LabelTask> batch) {
    asked.incrementAndGet();
    if (away) {
      return CompletableFuture.failedFuture(new TeacherUnavailableException("gone fishing"));
    }
    boolean poisoned =
        batch.stream()
            .flatMapToInt(task -> Arrays.stream(task.sequence().tokenIds()))
            .anyMatch(id -> id == poison);
    if (poisoned) {
      return CompletableFuture.failedFuture(new ModelException("token " + poison + " hurts"));
    }
    return gate.thenCompose(open -> whole.label(batch));
  }

  @Override
  public PendingAnswer answer(Question question, SamplingOptions sampling, Set<Integer> stopIds) {
    if (away) {
      return new PendingAnswer(
          CompletableFuture.failedFuture(new TeacherUnavailableException("gone fishing")),
          () -> {});
    }
    return whole.answer(question, sampling, stopIds);
  }

  @Override
  public long tokensGenerated() {
    return whole.tokensGenerated();
  }

  @Override
  public Map<String, Long> busyNanos() {
    return whole.busyNanos();
  }

  @Override
  public Map<String, Long> tokensScored() {
    return whole.tokensScored();
  }

  @Override
  public void close() {
    whole.close();
  }
}
