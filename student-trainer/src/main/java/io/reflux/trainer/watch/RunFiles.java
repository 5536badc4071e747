package io.reflux.trainer.watch;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;

/**
 * The files of a run: one student from its first step on, through every restart.
 *
 * <ul>
 *   <li>{@code metrics.csv}: a row a report; a figure that is not known is an empty cell
 *   <li>{@code slices.csv}: a row a report, part and figure: by segment, by origin and objective
 *   <li>{@code happenings.csv}: what happened, the gate's word included
 *   <li>{@code events.out.tfevents.*}: the same figures for TensorBoard
 *   <li>{@code settings-STEP.properties}: the settings of each start
 * </ul>
 */
final class RunFiles implements Closeable {
  static final String RUNS = "runs";
  static final String METRICS = "metrics.csv";
  static final String SLICES = "slices.csv";
  static final String HAPPENINGS = "happenings.csv";

  static final List<String> METRICS_HEADER = metricsHeader();
  private static final List<String> SLICES_HEADER =
      List.of("time", AppendedFile.STEP, "by", "name", "figure", "value");
  private static final List<String> HAPPENINGS_HEADER =
      List.of("time", AppendedFile.STEP, "kind", "text");
  private static final DateTimeFormatter NAME =
      DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss").withZone(ZoneOffset.UTC);

  private final Path directory;
  private final AppendedFile metrics;
  private final AppendedFile slices;
  private final AppendedFile happenings;
  private final EventFile events;

  private RunFiles(
      Path directory,
      AppendedFile metrics,
      AppendedFile slices,
      AppendedFile happenings,
      EventFile events) {
    this.directory = directory;
    this.metrics = metrics;
    this.slices = slices;
    this.happenings = happenings;
    this.events = events;
  }

  /**
   * Goes on with the newest run of a data directory, or begins one.
   *
   * @param resumedStep of the checkpoint that training goes on from; empty begins a new run
   * @param settings in force, by key
   */
  static RunFiles open(
      Path dataDirectory, OptionalLong resumedStep, Instant now, Map<String, String> settings)
      throws IOException {
    Path directory =
        (resumedStep.isPresent() ? newest(dataDirectory) : Optional.<Path>empty())
            .orElse(dataDirectory.resolve(RUNS).resolve(NAME.format(now)));
    Files.createDirectories(directory);
    long step = resumedStep.orElse(0);
    List<Closeable> opened = new ArrayList<>();
    boolean complete = false;
    try {
      AppendedFile metrics = AppendedFile.open(directory.resolve(METRICS), METRICS_HEADER, step);
      opened.add(metrics);
      AppendedFile slices = AppendedFile.open(directory.resolve(SLICES), SLICES_HEADER, step);
      opened.add(slices);
      AppendedFile happenings =
          AppendedFile.open(directory.resolve(HAPPENINGS), HAPPENINGS_HEADER, step);
      opened.add(happenings);
      EventFile events = EventFile.create(directory, now, step);
      opened.add(events);
      List<String> lines =
          settings.entrySet().stream().map(e -> e.getKey() + "=" + e.getValue()).toList();
      Files.write(directory.resolve("settings-" + step + ".properties"), lines);
      complete = true;
      return new RunFiles(directory, metrics, slices, happenings, events);
    } finally {
      if (!complete) {
        closeAll(opened);
      }
    }
  }

  /** The newest run of a data directory. */
  static Optional<Path> newest(Path dataDirectory) throws IOException {
    Path runs = dataDirectory.resolve(RUNS);
    if (!Files.isDirectory(runs)) {
      return Optional.empty();
    }
    try (Stream<Path> entries = Files.list(runs)) {
      return entries
          .filter(run -> Files.exists(run.resolve(METRICS)))
          .max(Comparator.comparing(run -> run.getFileName().toString()));
    }
  }

  Path directory() {
    return directory;
  }

  void add(Report report) throws IOException {
    metrics.append(Csv.line(metricsRow(report)));
    StringBuilder rows = new StringBuilder();
    Map<String, Double> scalars = new LinkedHashMap<>();
    Map<String, String> help = new LinkedHashMap<>();
    report
        .figures()
        .forEach(
            (figure, value) -> {
              scalars.put(figure.tag(), value);
              help.put(figure.tag(), figure.help());
            });
    report
        .slices()
        .forEach(
            (slice, figures) ->
                figures.forEach(
                    (figure, value) -> {
                      rows.append(
                          Csv.line(
                              List.of(
                                  report.at().toString(),
                                  Long.toString(report.step()),
                                  slice.by(),
                                  oneLine(slice.name()),
                                  figure.key(),
                                  number(value))));
                      String tag = slice.by() + "_" + figure.key() + "/" + slice.name();
                      scalars.put(tag, value);
                      help.put(tag, figure.help());
                    }));
    if (!rows.isEmpty()) {
      slices.append(rows.toString());
    }
    events.scalars(report.at(), report.step(), scalars, help);
  }

  void add(Happening happening) throws IOException {
    happenings.append(
        Csv.line(
            List.of(
                happening.at().toString(),
                Long.toString(happening.step()),
                happening.kind().key(),
                happening.text())));
  }

  @Override
  public void close() throws IOException {
    closeAll(List.of(metrics, slices, happenings, events));
  }

  private static List<String> metricsHeader() {
    List<String> header =
        new ArrayList<>(List.of("time", AppendedFile.STEP, "tokens", "stage", "bottleneck"));
    Stream.of(Figure.values())
        .filter(figure -> figure != Figure.SHARE)
        .map(Figure::key)
        .forEach(header::add);
    return List.copyOf(header);
  }

  private static List<String> metricsRow(Report report) {
    List<String> row = new ArrayList<>(METRICS_HEADER.size());
    row.add(report.at().toString());
    row.add(Long.toString(report.step()));
    row.add(Long.toString(report.tokens()));
    row.add(oneLine(report.stage()));
    row.add(oneLine(report.bottleneck()));
    for (String key : METRICS_HEADER.subList(row.size(), METRICS_HEADER.size())) {
      Double value = report.figures().get(Figure.ofKey(key));
      row.add(value == null ? "" : number(value));
    }
    return row;
  }

  /** As short as it can be without losing what a plot or a sum could show. */
  private static String number(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e15
        ? Long.toString((long) value)
        : Float.toString((float) value);
  }

  private static String oneLine(String text) {
    return text.replaceAll("\\s+", " ");
  }

  private static void closeAll(List<Closeable> files) throws IOException {
    IOException first = null;
    for (Closeable file : files) {
      try {
        file.close();
      } catch (IOException e) {
        first = first == null ? e : first;
      }
    }
    if (first != null) {
      throw first;
    }
  }
}
