package io.reflux.run;

import io.reflux.model.LanguageModel;
import io.reflux.model.evaluate.TeacherReference;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.serving.ServedModel;
import io.reflux.serving.SnapshotSubscriber;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Measures every served snapshot, compressed as it is, against the teacher's own answers to prompts
 * that are never mirrored. On a thread of its own, one snapshot after the other.
 */
final class ServedAgreement implements SnapshotSubscriber.Listener, AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(ServedAgreement.class);
  private static final int LONGEST_ANSWER = 96;

  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(
          task -> {
            Thread worker = new Thread(task, "served-agreement");
            worker.setDaemon(true);
            return worker;
          });
  private final List<RunState.Agreement> measured = new CopyOnWriteArrayList<>();
  private final AtomicLong swaps = new AtomicLong();
  private final Future<TeacherReference> reference;
  private volatile Supplier<Duration> clock = () -> Duration.ZERO;
  private volatile long studentParameters;

  /**
   * Lets the teacher answer first, in the background.
   *
   * @param prompts may be empty: then nothing is measured
   */
  ServedAgreement(LanguageModel teacher, List<String> prompts) {
    this.reference =
        thread.submit(
            () ->
                prompts.isEmpty()
                    ? null
                    : TeacherReference.prepare(
                        teacher,
                        prompts.stream().map(teacher::promptIds).toList(),
                        LONGEST_ANSWER,
                        RuntimeOptions.DEFAULT));
  }

  /** How time since the start of traffic is told. */
  void clock(Supplier<Duration> sinceTraffic) {
    this.clock = sinceTraffic;
  }

  List<RunState.Agreement> measured() {
    return List.copyOf(measured);
  }

  /** Times that serving took up a snapshot. */
  long swaps() {
    return swaps.get();
  }

  /** Weights of the student; 0 before the first snapshot. */
  long studentParameters() {
    return studentParameters;
  }

  /** Response positions that every snapshot is compared at. */
  long positions() {
    TeacherReference answers = reference.isDone() ? teacherAnswers() : null;
    return answers == null
        ? 0
        : answers.responses().stream().mapToLong(response -> response.length).sum();
  }

  @Override
  public void swapped(ServedModel now) {
    swaps.incrementAndGet();
    studentParameters = StudentShape.parameters(now.model().config());
    double atSeconds = clock.get().toMillis() / 1000.0;
    LanguageModel student = now.model();
    long version = now.version();
    thread.execute(() -> measure(version, student, atSeconds));
  }

  private void measure(long version, LanguageModel student, double atSeconds) {
    TeacherReference teacher = teacherAnswers();
    if (teacher == null) {
      return;
    }
    double agreement = teacher.agreement(student.config(), student.weights()).rate();
    measured.add(new RunState.Agreement(version, atSeconds, agreement));
    log.info("version {} agrees with the teacher on {} of held-out positions", version, agreement);
  }

  private TeacherReference teacherAnswers() {
    try {
      return reference.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return null;
    } catch (ExecutionException e) {
      throw new IllegalStateException("teacher's answers to held-out prompts", e.getCause());
    }
  }

  /** Waits until everything served so far is measured. */
  void await(Duration most) throws InterruptedException {
    try {
      thread.submit(() -> {}).get(most.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      log.warn("the last served snapshot was not measured within {}", most);
    } catch (ExecutionException e) {
      throw new IllegalStateException(e.getCause());
    }
  }

  @Override
  public void close() {
    thread.shutdownNow();
  }
}
