package io.reflux.bench.prune;

import io.reflux.bench.recipe.Arms;
import io.reflux.bench.recipe.DataFeed;
import io.reflux.bench.recipe.Examination;
import io.reflux.bench.recipe.Student;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.PruningSchedule;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * A dense student that was distilled to the end, and all that becomes of it from there: the dense
 * one goes on, others are cut and go on. All of a seed see the same batches at the same learning
 * rates, which rise once more, and as many tokens; that a smaller one takes less arithmetic for
 * them is not made up for.
 */
final class PruneArms {
  /** What the others begin as. */
  static final String BEFORE = "dense, before";

  /** What the others are held against. */
  static final String DENSE = "dense, gone on";

  /** Divergence on lines that no other figure is of, to choose a way by. */
  static final String VALIDATION_KL = "validation_kl";

  /** Keeps the order of data after the first end apart from that before. */
  private static final long LATER_SEED = 1_000;

  private final PruneSize size;
  private final ModelConfig dense;
  private final List<TrainingSequence> lessons;
  private final List<int[]> calibration = new ArrayList<>();
  private final Examination validation;
  private final Examination test;
  private final Map<Long, FutureTask<Weights>> finished = new ConcurrentHashMap<>();

  PruneArms(
      PruneSize size,
      ModelConfig dense,
      List<TrainingSequence> lessons,
      Examination validation,
      Examination test) {
    this.size = size;
    this.dense = dense;
    this.lessons = lessons;
    this.validation = validation;
    this.test = test;
    int tokens = 0;
    for (int i = 0; i < lessons.size() && tokens < size.calibrationTokens(); i++) {
      calibration.add(lessons.get(i).tokenIds());
      tokens += lessons.get(i).tokenIds().length;
    }
  }

  /** Everything; what others wait for comes first. */
  List<Arms.Task> tasks(List<Long> seeds) {
    List<Arms.Task> tasks = new ArrayList<>();
    for (long seed : seeds) {
      tasks.add(alone(BEFORE, seed, () -> figures(dense, finished(seed))));
    }
    for (long seed : seeds) {
      tasks.add(alone(DENSE, seed, () -> goOn(PruningSchedule.NONE, seed)));
      for (Way way : size.ways()) {
        tasks.add(alone(way.name(), seed, () -> goOn(way.schedule(), seed)));
      }
    }
    return tasks;
  }

  private static Arms.Task alone(String arm, long seed, Callable<Map<String, Double>> work) {
    return new Arms.Task(List.of(arm), seed, () -> Map.of(arm, work.call()));
  }

  private Map<String, Double> goOn(PruningSchedule schedule, long seed)
      throws InterruptedException, ExecutionException {
    try (Student one =
        new Student(dense, finished(seed), size.learningRate(), size.tokensAfter())) {
      DataFeed feed = new DataFeed(lessons, size.batchTokens(), seed + LATER_SEED);
      for (long step : schedule.steps()) {
        one.train(feed, step / Way.WHOLE);
        one.cut(schedule.shapeAt(step, dense), calibration);
      }
      one.train(feed, 1);
      return figures(one.config(), one.weights());
    }
  }

  /** Who asks first trains the dense student; the others wait. */
  private Weights finished(long seed) throws InterruptedException, ExecutionException {
    FutureTask<Weights> training =
        finished.computeIfAbsent(seed, key -> new FutureTask<>(() -> train(key)));
    training.run();
    return training.get();
  }

  private Weights train(long seed) {
    try (Student one = new Student(dense, size.learningRate(), size.tokens(), seed)) {
      one.train(new DataFeed(lessons, size.batchTokens(), seed), 1);
      return one.weights();
    }
  }

  private Map<String, Double> figures(ModelConfig config, Weights weights) {
    Map<String, Double> figures = test.of(config, weights).figures();
    figures.put(VALIDATION_KL, validation.losses(config, weights).meanKl());
    return figures;
  }
}
