package io.reflux.bench.recipe;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;

/** Runs arms, several at a time, and keeps what comes of them. Each depends on its seed alone. */
public final class Arms {
  private final Workplace workplace;
  private final int workers;
  private final PrintWriter progress;
  private final Map<String, Map<Long, Map<String, Double>>> done = new LinkedHashMap<>();

  /**
   * Arms that are trained together, because they begin alike.
   *
   * @param work gives figures by arm
   */
  public record Task(
      List<String> arms, long seed, Callable<Map<String, Map<String, Double>>> work) {}

  public Arms(Workplace workplace, int workers, PrintWriter progress) {
    this.workplace = workplace;
    this.workers = workers;
    this.progress = progress;
  }

  /** Runs what was not finished before. */
  public void run(List<Task> tasks) throws IOException, InterruptedException {
    ExecutorService pool = Executors.newFixedThreadPool(workers);
    try {
      List<Future<?>> futures = new ArrayList<>();
      for (Task task : tasks) {
        if (!takeUp(task)) {
          futures.add(
              pool.submit(
                  () -> {
                    finish(task, task.work().call());
                    return null;
                  }));
        }
      }
      for (Future<?> future : futures) {
        future.get();
      }
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw new IllegalStateException("an arm failed: " + e.getCause(), e.getCause());
    } finally {
      pool.shutdownNow();
    }
  }

  /** A figure of an arm, by seed. */
  public List<Double> values(String arm, String key) {
    synchronized (done) {
      return done.getOrDefault(arm, Map.of()).entrySet().stream()
          .sorted(Map.Entry.comparingByKey())
          .map(seed -> seed.getValue().get(key))
          .filter(value -> value != null)
          .toList();
    }
  }

  private boolean takeUp(Task task) throws IOException {
    Map<String, Map<String, Double>> before = new LinkedHashMap<>();
    for (String arm : task.arms()) {
      Optional<Map<String, Double>> figures = workplace.read(arm, task.seed());
      if (figures.isEmpty()) {
        return false;
      }
      before.put(arm, figures.get());
    }
    before.forEach((arm, figures) -> note(arm, task.seed(), figures, "done before"));
    return true;
  }

  private void finish(Task task, Map<String, Map<String, Double>> outcome) throws IOException {
    for (Map.Entry<String, Map<String, Double>> arm : outcome.entrySet()) {
      workplace.write(arm.getKey(), task.seed(), arm.getValue());
      note(arm.getKey(), task.seed(), arm.getValue(), "done");
    }
  }

  private void note(String arm, long seed, Map<String, Double> figures, String how) {
    String line =
        figures.entrySet().stream()
            .filter(figure -> !figure.getKey().contains("_at_"))
            .map(
                figure -> String.format(Locale.ROOT, "%s %.4f", figure.getKey(), figure.getValue()))
            .collect(Collectors.joining(", "));
    synchronized (done) {
      done.computeIfAbsent(arm, name -> new LinkedHashMap<>()).put(seed, figures);
      progress.printf("%s, seed %d, %s: %s%n", arm, seed, how, line);
      progress.flush();
    }
  }
}
