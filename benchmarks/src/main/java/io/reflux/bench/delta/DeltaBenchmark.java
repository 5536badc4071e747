package io.reflux.bench.delta;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.Weights;
import io.reflux.trainer.StudentTraining;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;

/**
 * Bytes of a snapshot as differences from the one before, over the bytes of all its files.
 *
 * <p>How many there are is settled by how far the weights moved, counted in steps of the
 * quantisation, and not by how cleverly they are coded. So it is measured by learning rate and by
 * steps between snapshots: a student first learns with the trainer's defaults, and goes on from
 * there in every way.
 */
public final class DeltaBenchmark implements Benchmark {
  /** The bound that is asked for. */
  private static final double WANTED = 0.25;

  /** As the trainer's default. */
  private static final String STUDENT = "hidden=96,layers=2,heads=4,kv-heads=2,ffn=256";

  private final Size chosen;

  /**
   * How much to do.
   *
   * @param shape of the student
   * @param sequences to learn from
   * @param learning steps with the trainer's defaults before anything is measured
   * @param steps of each way
   * @param settle steps of each way before its first snapshot
   * @param every steps between snapshots; the first is the finest, and divides the others
   */
  record Size(
      String shape, int sequences, int learning, int steps, int settle, List<Integer> every) {
    static final Size FULL = new Size(STUDENT, 4000, 600, 240, 40, List.of(5, 20, 60));
    static final Size QUICK = new Size(STUDENT, 500, 40, 24, 4, List.of(5, 10));
  }

  /** How a student goes on. */
  private record Way(String name, Map<String, String> settings) {
    static Way adamw(String name, double rate, int settle) {
      return new Way(
          name,
          Map.of(
              "learning-rate",
              Double.toString(rate),
              "warm-up-steps",
              Integer.toString(settle),
              "settled-share",
              "1"));
    }
  }

  public DeltaBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  DeltaBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "delta";
  }

  @Override
  public String description() {
    return "bytes of the next snapshot as differences from the last, by rate and interval";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.TEACHER);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    LanguageModel teacher = LanguageModel.load(options.requireTeacher());
    LiveRun live = new LiveRun(teacher, size.shape(), size.sequences(), options.seed());
    Weights learnt;
    say(progress, "%d steps with the trainer's defaults", size.learning());
    try (StudentTraining training = live.open(Map.of(), options.seed())) {
      for (int step = 0; step < size.learning(); step++) {
        training.step();
      }
      learnt = training.export();
    }
    Result.Builder result = new Result.Builder(name());
    List<List<Object>> rows = new ArrayList<>();
    try (WorkFolder folder = WorkFolder.create("reflux-bench-delta-")) {
      for (Way way : ways(size)) {
        Path directory = folder.path().resolve(way.name());
        List<Double> losses = train(live, way, learnt, size, options.seed(), directory);
        for (DType dtype : List.of(DType.I8, DType.F32)) {
          for (int every : size.every()) {
            List<Snapshots.Delta> deltas = new ArrayList<>();
            for (int to = every; to <= size.steps(); to += every) {
              deltas.add(
                  Snapshots.delta(
                      snapshot(directory, dtype, to - every), snapshot(directory, dtype, to)));
            }
            rows.add(row(way, dtype, every, deltas, losses));
            sample(result, way, dtype, every, deltas);
            say(progress, "%s", rows.get(rows.size() - 1));
          }
        }
      }
    }
    result.table(
        new Result.Table(
            "deltas",
            List.of(
                "run",
                "format",
                "steps_between",
                "pairs",
                "ratio_median",
                "ratio_worst",
                "weights_ratio_median",
                "at_most_a_quarter",
                "encode_ms",
                "rebuild_ms",
                "loss"),
            rows));
    return result
        .condition("student", size.shape())
        .condition("steps_before", size.learning())
        .condition("steps_a_run", size.steps())
        .condition("traffic", size.sequences() + " generated requests, labelled by the teacher")
        .condition("wanted_ratio", WANTED)
        .build();
  }

  private static List<Way> ways(Size size) {
    int settle = size.settle();
    return List.of(
        Way.adamw("defaults-settled", 1e-3, settle),
        Way.adamw("rate-2e-4", 2e-4, settle),
        Way.adamw("rate-5e-5", 5e-5, settle),
        Way.adamw("rate-1e-5", 1e-5, settle),
        new Way(
            "schedule-free",
            Map.of("optimizer", "schedule-free", "warm-up-steps", Integer.toString(settle))));
  }

  /** Trains on, with a snapshot of either format at the finest interval; gives mean losses. */
  private static List<Double> train(
      LiveRun live, Way way, Weights from, Size size, long seed, Path directory) {
    List<Double> losses = new ArrayList<>();
    try (StudentTraining training = live.open(way.settings(), from, seed)) {
      for (int step = 0; step < size.settle(); step++) {
        training.step();
      }
      for (int step = 0; step <= size.steps(); step++) {
        if (step % size.every().get(0) == 0) {
          Weights weights = training.export();
          for (DType dtype : List.of(DType.I8, DType.F32)) {
            live.save(snapshot(directory, dtype, step), weights, dtype);
          }
        }
        if (step < size.steps()) {
          losses.add(training.step().losses().meanKl());
        }
      }
    }
    return losses;
  }

  private static Path snapshot(Path directory, DType dtype, int step) {
    return directory.resolve(dtype + "-" + step);
  }

  private static List<Object> row(
      Way way, DType dtype, int every, List<Snapshots.Delta> deltas, List<Double> losses) {
    double worst = deltas.stream().mapToDouble(Snapshots.Delta::ratio).max().orElseThrow();
    return List.of(
        way.name(),
        dtype.name(),
        every,
        deltas.size(),
        median(deltas, Snapshots.Delta::ratio),
        worst,
        median(deltas, Snapshots.Delta::weightRatio),
        worst <= WANTED ? "yes" : "no",
        1000 * median(deltas, Snapshots.Delta::encodeSeconds),
        1000 * median(deltas, Snapshots.Delta::rebuildSeconds),
        losses.stream().mapToDouble(Double::doubleValue).average().orElse(Double.NaN));
  }

  private static void sample(
      Result.Builder result, Way way, DType dtype, int every, List<Snapshots.Delta> deltas) {
    String key =
        "%s_%s_%d_ratio".formatted(way.name(), dtype.name().toLowerCase(Locale.ROOT), every);
    deltas.forEach(delta -> result.sample(key.replace('-', '_'), delta.ratio(), ""));
  }

  private static double median(
      List<Snapshots.Delta> deltas, ToDoubleFunction<Snapshots.Delta> figure) {
    double[] sorted = deltas.stream().mapToDouble(figure).sorted().toArray();
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  private static void say(PrintWriter progress, String format, Object... values) {
    progress.printf(format + "%n", values);
    progress.flush();
  }
}
