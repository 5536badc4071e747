package io.reflux.bench.prune;

import io.reflux.bench.recipe.Arms;
import io.reflux.bench.recipe.DataFeed;
import io.reflux.bench.recipe.Examination;
import io.reflux.bench.recipe.Student;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * Students that are cut on their way, beside one that is not: same first weights, same batches, same
 * learning rates, as many tokens. The smaller ones take less arithmetic for it, which is not made up
 * for.
 */
final class PruneArms {
  static final String DENSE = "dense";
  static final String DENSE_GONE_ON = "dense, gone on";

  /** Divergence on lines that no other figure is of, to choose a way by. */
  static final String VALIDATION_KL = "validation_kl";

  /** Keeps the order of data after the end apart from that before. */
  private static final long LATER_SEED = 1_000;

  private final PruneSize size;
  private final ModelConfig dense;
  private final List<TrainingSequence> lessons;
  private final List<int[]> calibration;
  private final Examination validation;
  private final Examination test;
  private final Map<Long, FutureTask<Trunk>> trunks = new ConcurrentHashMap<>();

  /**
   * What all students of a seed have in common.
   *
   * @param cuts where the dense student was when others are first cut, by the step of that
   * @param finished its weights in the end
   */
  private record Trunk(Map<Long, Fork> cuts, Weights finished) {}

  /**
   * Where others leave the dense student.
   *
   * @param batches that it had seen
   */
  private record Fork(Student.Point point, int batches) {}

  /** Batches in an order of their own, counted. */
  private static final class Stream implements Student.Feed {
    private final DataFeed feed;
    private int batches;

    Stream(DataFeed feed) {
      this.feed = feed;
    }

    @Override
    public List<TrainingSequence> next(Student student) {
      batches++;
      return feed.next(student);
    }
  }

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
    this.calibration = new ArrayList<>();
    int tokens = 0;
    for (int i = 0; i < lessons.size() && tokens < size.calibrationTokens(); i++) {
      calibration.add(lessons.get(i).tokenIds());
      tokens += lessons.get(i).tokenIds().length;
    }
  }

  /** Everything of a seed; what others wait for comes first. */
  List<Arms.Task> tasks(long seed) {
    List<Arms.Task> tasks = new ArrayList<>();
    tasks.add(alone(DENSE, seed, () -> figures(dense, trunk(seed).finished())));
    for (Way way : size.ways()) {
      tasks.add(alone(way.name(), seed, () -> run(way, seed)));
    }
    tasks.add(
        alone(
            DENSE_GONE_ON,
            seed,
            () -> {
              try (Student one = finished(seed)) {
                one.train(stream(seed + LATER_SEED), 1);
                return figures(one.config(), one.weights());
              }
            }));
    return tasks;
  }

  private static Arms.Task alone(String arm, long seed, Callable<Map<String, Double>> work) {
    return new Arms.Task(List.of(arm), seed, () -> Map.of(arm, work.call()));
  }

  private Map<String, Double> run(Way way, long seed)
      throws InterruptedException, ExecutionException {
    try (Student one = begin(way, seed)) {
      Stream stream = stream(way.start() == Way.Start.FINISHED ? seed + LATER_SEED : seed);
      if (way.start() == Way.Start.NOTHING) {
        Fork fork = trunk(seed).cuts().get(way.schedule().steps().get(0));
        one.goBack(fork.point());
        while (stream.batches < fork.batches()) {
          stream.next(one);
        }
      }
      if (way.start() != Way.Start.SMALL) {
        cut(one, way, stream);
      }
      one.train(stream, 1);
      return figures(one.config(), one.weights());
    }
  }

  private Student begin(Way way, long seed) throws InterruptedException, ExecutionException {
    return switch (way.start()) {
      case SMALL -> new Student(way.shape(dense), size.learningRate(), size.tokens(), seed);
      case NOTHING -> new Student(dense, size.learningRate(), size.tokens(), seed);
      case FINISHED -> finished(seed);
    };
  }

  /** A student that goes on where the dense one ended. */
  private Student finished(long seed) throws InterruptedException, ExecutionException {
    return new Student(
        dense, trunk(seed).finished(), size.learningRate(), size.tokensAfter());
  }

  private void cut(Student one, Way way, Stream stream) {
    for (long step : way.schedule().steps()) {
      one.train(stream, step / Way.WHOLE);
      one.cut(way.schedule().shapeAt(step, dense), calibration);
    }
  }

  /** Who asks first trains the dense student; the others wait. */
  private Trunk trunk(long seed) throws InterruptedException, ExecutionException {
    FutureTask<Trunk> trunk =
        trunks.computeIfAbsent(seed, key -> new FutureTask<>(() -> train(key)));
    trunk.run();
    return trunk.get();
  }

  private Trunk train(long seed) {
    TreeSet<Long> first = new TreeSet<>();
    for (Way way : size.ways()) {
      if (way.start() == Way.Start.NOTHING) {
        first.add(way.schedule().steps().get(0));
      }
    }
    Map<Long, Fork> cuts = new HashMap<>();
    try (Student one = new Student(dense, size.learningRate(), size.tokens(), seed)) {
      Stream stream = stream(seed);
      for (long step : first) {
        one.train(stream, step / Way.WHOLE);
        cuts.put(step, new Fork(one.point(), stream.batches));
      }
      one.train(stream, 1);
      return new Trunk(cuts, one.weights());
    }
  }

  private Stream stream(long seed) {
    return new Stream(new DataFeed(lessons, size.batchTokens(), seed));
  }

  private Map<String, Double> figures(ModelConfig config, Weights weights) {
    Map<String, Double> figures = test.of(config, weights).figures();
    figures.put(VALIDATION_KL, validation.losses(config, weights).meanKl());
    figures.put("weights", (double) config.parameters());
    return figures;
  }
}
