package io.reflux.trainer.watch;

import io.reflux.operations.Series;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.watch.Report.Slice;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps what there is to see of a run: in its files, and bounded in memory for the page and the
 * terminal. Files that cannot be written are told of once, and training goes on. Thread-safe.
 */
public final class RunWatch implements AutoCloseable {
  /** Points kept of the curves. */
  static final int POINTS = 600;

  /** Parts kept whose figures were not in the newest report. */
  static final int SLICES = 128;

  /** Happenings kept, and as many of the gate's. */
  static final int HAPPENINGS = 100;

  private static final Logger log = LoggerFactory.getLogger(RunWatch.class);

  private final String student;
  private final Map<String, String> settings;
  private final Instant startedAt;
  private final RunFiles files;
  private final Series<Report> points = new Series<>(POINTS);
  private final Deque<Happening> happenings = new ArrayDeque<>();
  private final Deque<Happening> gate = new ArrayDeque<>();
  private Report latest;
  private boolean failing;

  private RunWatch(
      String student, Map<String, String> settings, Instant startedAt, RunFiles files) {
    this.student = student;
    this.settings = Map.copyOf(settings);
    this.startedAt = startedAt;
    this.files = files;
  }

  /**
   * Takes up a run, with the curves that it has so far.
   *
   * @param dataDirectory of the trainer; the run's files go below its {@code runs}
   * @param resumedStep of the checkpoint that training goes on from; empty begins a new run
   * @param settings in force, by key
   */
  public static RunWatch open(
      String student, Path dataDirectory, OptionalLong resumedStep, Map<String, String> settings) {
    Instant now = Instant.now();
    RunFiles files = null;
    try {
      files = RunFiles.open(dataDirectory, resumedStep, now, new TreeMap<>(settings));
    } catch (IOException e) {
      log.warn("The run's files in {} cannot be written: {}", dataDirectory, e.getMessage());
    }
    RunWatch watch = new RunWatch(student, settings, now, files);
    if (files != null) {
      watch.remember(files.directory());
    }
    watch.happened(
        Happening.Kind.START,
        resumedStep.orElse(0),
        resumedStep.isPresent()
            ? "Resumed from the checkpoint of step " + resumedStep.getAsLong()
            : "Began");
    return watch;
  }

  /** How it stands; for those who look now. */
  public synchronized void live(Report report) {
    latest = latest == null ? report : over(latest, report);
  }

  /** A row of the run's files, and a point of its curves. */
  public synchronized void record(Report report) {
    live(report);
    points.add(withoutSlices(report));
    write(() -> files.add(report));
  }

  /** Something happened. */
  public synchronized void happened(Happening.Kind kind, long step, String text) {
    Happening happening = new Happening(Instant.now(), step, kind, text);
    keep(happening);
    write(() -> files.add(happening));
  }

  /** The run as it stands. */
  public synchronized RunView view() {
    return new RunView(
        student,
        files == null ? "" : files.directory().getFileName().toString(),
        startedAt,
        settings,
        Optional.ofNullable(latest),
        points.points(),
        List.copyOf(happenings),
        List.copyOf(gate));
  }

  @Override
  public synchronized void close() {
    write(() -> files.close());
  }

  private void remember(Path run) {
    try {
      RunReader.reports(run, this::recall);
      RunReader.happenings(run, this::keep);
    } catch (RefluxException e) {
      log.warn("What the run was before is not shown: {}", e.getMessage());
    }
  }

  private void recall(Report report) {
    points.add(report);
    live(report);
  }

  private void keep(Happening happening) {
    add(happenings, happening);
    if (happening.kind().isGate()) {
      add(gate, happening);
    }
  }

  private static void add(Deque<Happening> kept, Happening happening) {
    kept.addLast(happening);
    if (kept.size() > HAPPENINGS) {
      kept.removeFirst();
    }
  }

  private interface Writing {
    void run() throws IOException;
  }

  private void write(Writing writing) {
    if (files == null) {
      return;
    }
    try {
      writing.run();
      failing = false;
    } catch (IOException e) {
      if (!failing) {
        failing = true;
        log.warn("Files of run {} are behind: {}", files.directory(), e.getMessage());
      }
    }
  }

  private static Report over(Report before, Report report) {
    Map<Figure, Double> figures = new EnumMap<>(Figure.class);
    figures.putAll(before.figures());
    figures.putAll(report.figures());
    Map<Slice, Map<Figure, Double>> slices = new TreeMap<>(before.slices());
    slices.putAll(report.slices());
    while (slices.size() > SLICES) {
      slices.remove(slices.keySet().iterator().next());
    }
    return new Report(
        report.at(),
        report.step(),
        report.tokens(),
        report.stage(),
        report.bottleneck(),
        figures,
        slices);
  }

  private static Report withoutSlices(Report report) {
    return new Report(
        report.at(),
        report.step(),
        report.tokens(),
        report.stage(),
        report.bottleneck(),
        report.figures(),
        Map.of());
  }
}
