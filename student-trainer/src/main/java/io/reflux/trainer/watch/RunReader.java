package io.reflux.trainer.watch;

import io.reflux.schemas.service.RefluxException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Reads a run's files again, whichever build wrote them. */
public final class RunReader {
  private RunReader() {}

  /**
   * The run that a path means.
   *
   * @param path a run's directory, a trainer's data directory (its newest run), or a CSV file
   * @return a directory with {@code metrics.csv}, or a CSV file
   * @throws RefluxException if it is none of these
   */
  public static Path find(Path path) {
    try {
      if (Files.isRegularFile(path) || Files.exists(path.resolve(RunFiles.METRICS))) {
        return path;
      }
      return RunFiles.newest(path)
          .orElseThrow(
              () ->
                  new RefluxException(
                      "run: %s (expected: a trainer's data directory, a run in its runs/, or a metrics.csv)"
                          .formatted(path)));
    } catch (IOException e) {
      throw new RefluxException("run: " + path + ": " + e.getMessage(), e);
    }
  }

  /**
   * Every report of a run, oldest first, without its slices. A last line that was not written to
   * its end is passed over.
   *
   * @param run as {@link #find} gives it
   * @throws RefluxException if it cannot be read or is no such file
   */
  public static void reports(Path run, Consumer<Report> reports) {
    try {
      for (Path file : parts(run)) {
        read(file, reports);
      }
    } catch (IOException e) {
      throw new RefluxException("run: " + run + ": " + e.getMessage(), e);
    }
  }

  /**
   * What happened in a run, oldest first; nothing if {@code run} is a CSV file.
   *
   * @throws RefluxException if it cannot be read
   */
  public static void happenings(Path run, Consumer<Happening> happenings) {
    Path file = run.resolve(RunFiles.HAPPENINGS);
    if (!Files.isRegularFile(file)) {
      return;
    }
    try (BufferedReader lines = Files.newBufferedReader(file)) {
      lines.readLine();
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        List<String> values = Csv.parse(line);
        if (values.size() == 4) {
          happenings.accept(
              new Happening(
                  Instant.parse(values.get(0)),
                  Long.parseLong(values.get(1)),
                  Happening.Kind.valueOf(values.get(2).toUpperCase(Locale.ROOT)),
                  values.get(3)));
        }
      }
    } catch (IOException | IllegalArgumentException | DateTimeException e) {
      throw new RefluxException("run: " + file + ": " + e.getMessage(), e);
    }
  }

  /** Those before the columns changed come first. */
  private static List<Path> parts(Path run) throws IOException {
    if (Files.isRegularFile(run)) {
      return List.of(run);
    }
    List<Path> parts = new ArrayList<>();
    int number = 1;
    Path older = run.resolve("metrics-" + number + ".csv");
    while (Files.exists(older)) {
      parts.add(older);
      number++;
      older = run.resolve("metrics-" + number + ".csv");
    }
    parts.add(run.resolve(RunFiles.METRICS));
    return parts;
  }

  private static void read(Path file, Consumer<Report> reports) throws IOException {
    try (Stream<String> lines = Files.lines(file)) {
      var rows = lines.iterator();
      List<String> header = rows.hasNext() ? Csv.parse(rows.next()) : List.of();
      int time = header.indexOf("time");
      int step = header.indexOf(AppendedFile.STEP);
      if (time < 0 || step < 0) {
        throw new RefluxException(
            "run: %s: columns %s (expected: time and step among them)".formatted(file, header));
      }
      while (rows.hasNext()) {
        List<String> values = Csv.parse(rows.next());
        if (values.size() == header.size()) {
          reports.accept(report(file, header, values));
        }
      }
    }
  }

  private static Report report(Path file, List<String> header, List<String> values) {
    String tokens = cell(header, values, "tokens");
    Map<Figure, Double> figures = new EnumMap<>(Figure.class);
    try {
      for (int i = 0; i < header.size(); i++) {
        Figure figure = Figure.ofKey(header.get(i));
        if (figure != null && !values.get(i).isEmpty()) {
          figures.put(figure, Double.valueOf(values.get(i)));
        }
      }
      return new Report(
          Instant.parse(cell(header, values, "time")),
          Long.parseLong(cell(header, values, AppendedFile.STEP)),
          tokens.isEmpty() ? 0 : Long.parseLong(tokens),
          cell(header, values, "stage"),
          cell(header, values, "bottleneck"),
          figures,
          Map.of());
    } catch (NumberFormatException | DateTimeException e) {
      throw new RefluxException(
          "run: %s: %s (expected: numbers and times, in the columns %s)"
              .formatted(file, e.getMessage(), header),
          e);
    }
  }

  private static String cell(List<String> header, List<String> values, String column) {
    int index = header.indexOf(column);
    return index < 0 ? "" : values.get(index);
  }
}
