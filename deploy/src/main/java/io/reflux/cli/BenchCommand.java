package io.reflux.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Benchmarks;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.config.Settings;
import io.reflux.run.BundledTeacher;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Runs a benchmark. */
@Command(
    name = "bench",
    description = "Measures a part of the loop, prints a table and writes figures with conditions.",
    mixinStandardHelpOptions = true)
final class BenchCommand implements Callable<Integer> {
  @Parameters(arity = "0..1", paramLabel = "NAME", description = "Which; see --list.")
  private String name;

  @Option(names = "--list", description = "List the benchmarks.")
  private boolean list;

  @Option(names = "--quick", description = "The fewest runs that still mean something.")
  private boolean quick;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description = "Of everything that is drawn (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--cases",
      paramLabel = "N",
      description = "label-fuzz: how many cases to try; swap: how many swaps.")
  private Long cases;

  @Option(
      names = "--kills",
      paramLabel = "N",
      description = "score-kills, train-kills: how often to kill.")
  private Integer kills;

  @Option(
      names = "--teacher",
      paramLabel = "DIR",
      description =
          "compress, score, score-kills, train-kills, serve, swap, delta: the teacher (default: the"
              + " bundled one).")
  private Path teacher;

  @Option(
      names = "--plot",
      paramLabel = "FILE",
      description = "compress, labels, recipe, swap, soak: draw them here, as SVG.")
  private Path plot;

  @Option(
      names = "--data",
      paramLabel = "DIR",
      description =
          "compress, recipe: clinc150.train.jsonl, clinc150.test.jsonl and banking77.train.jsonl (default:"
              + " generated requests).")
  private Path data;

  @Option(names = "--seeds", paramLabel = "N", description = "recipe: how many seeds an arm.")
  private Integer seeds;

  @Option(
      names = "--duration",
      paramLabel = "TIME",
      description = "soak: how long to go on, as 90s, 2h or PT2H.")
  private String duration;

  @Option(
      names = "--work",
      paramLabel = "DIR",
      description =
          "compress, recipe: keep the teacher and finished arms here, and go on from them.")
  private Path work;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the figures here.")
  private Path json;

  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws Exception {
    PrintWriter out = spec.commandLine().getOut();
    if (list) {
      for (Benchmark benchmark : Benchmarks.all()) {
        out.printf("%-12s %s%n", benchmark.name(), benchmark.description());
      }
      out.flush();
      return 0;
    }
    Benchmark benchmark = benchmark();
    requireTaken(benchmark, BenchmarkOption.CASES, cases);
    requireTaken(benchmark, BenchmarkOption.KILLS, kills);
    requireTaken(benchmark, BenchmarkOption.TEACHER, teacher);
    requireTaken(benchmark, BenchmarkOption.PLOT, plot);
    requireTaken(benchmark, BenchmarkOption.DATA, data);
    requireTaken(benchmark, BenchmarkOption.SEEDS, seeds);
    requireTaken(benchmark, BenchmarkOption.DURATION, duration);
    requireTaken(benchmark, BenchmarkOption.WORK, work);
    Result result;
    try (WorkFolder folder = WorkFolder.create("reflux-bench-")) {
      boolean bundled = teacher == null && benchmark.options().contains(BenchmarkOption.TEACHER);
      BenchmarkOptions options =
          options(
              bundled
                  ? Optional.of(BundledTeacher.unpack(folder.path()))
                  : Optional.ofNullable(teacher));
      result = benchmark.run(options, spec.commandLine().getErr());
    }
    print(result, out);
    if (json != null) {
      write(result);
    }
    if (!result.failures().isEmpty()) {
      throw new RefluxException("bench " + name + ": " + String.join("; ", result.failures()));
    }
    return 0;
  }

  private BenchmarkOptions options(Optional<Path> teacherDirectory) {
    return new BenchmarkOptions(
        quick,
        seed,
        cases == null ? OptionalLong.empty() : OptionalLong.of(cases),
        kills == null ? OptionalInt.empty() : OptionalInt.of(kills),
        teacherDirectory,
        Optional.ofNullable(plot),
        Optional.ofNullable(data),
        seeds == null ? OptionalInt.empty() : OptionalInt.of(seeds),
        Optional.ofNullable(duration).map(BenchCommand::time),
        Optional.ofNullable(work));
  }

  private static Duration time(String text) {
    try {
      return Settings.parseDuration(text);
    } catch (IllegalArgumentException e) {
      throw new RefluxException("--duration: " + e.getMessage(), e);
    }
  }

  private Benchmark benchmark() {
    return Benchmarks.all().stream()
        .filter(b -> b.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new RefluxException(
                    "bench: "
                        + (name == null ? "no name" : name)
                        + " (expected: one of "
                        + Benchmarks.all().stream()
                            .map(Benchmark::name)
                            .collect(Collectors.joining(", "))
                        + ")"));
  }

  private static void requireTaken(Benchmark benchmark, BenchmarkOption option, Object value) {
    if (value != null && !benchmark.options().contains(option)) {
      throw new RefluxException(
          option.flag()
              + ": bench "
              + benchmark.name()
              + " has no such option (expected: with one of "
              + Benchmarks.all().stream()
                  .filter(b -> b.options().contains(option))
                  .map(Benchmark::name)
                  .collect(Collectors.joining(", "))
              + ")");
    }
  }

  private static void print(Result result, PrintWriter out) {
    for (Result.Table table : result.tables()) {
      print(table, out);
    }
    out.printf("%-36s %14s  %-12s %5s %8s%n", "FIGURE", "MEDIAN", "UNIT", "RUNS", "SPREAD");
    result
        .figures()
        .forEach(
            (key, figure) ->
                out.printf(
                    "%-36s %14.4g  %-12s %5d %7.1f%%%n",
                    key, figure.value(), figure.unit(), figure.runs(), 100 * figure.spread()));
    out.flush();
  }

  private static void print(Result.Table table, PrintWriter out) {
    int columns = table.columns().size();
    int[] widths = new int[columns];
    for (int c = 0; c < columns; c++) {
      int column = c;
      widths[c] =
          Math.max(
              table.columns().get(c).length(),
              table.rows().stream()
                  .mapToInt(row -> cell(row.get(column)).length())
                  .max()
                  .orElse(0));
    }
    out.println(table.name());
    line(table.columns(), widths, out);
    for (List<Object> row : table.rows()) {
      line(row.stream().map(BenchCommand::cell).toList(), widths, out);
    }
    out.println();
  }

  /** The first column is text. */
  private static void line(List<String> cells, int[] widths, PrintWriter out) {
    StringBuilder line = new StringBuilder();
    for (int c = 0; c < cells.size(); c++) {
      String format = c == 0 ? "%-" + widths[c] + "s" : "  %" + widths[c] + "s";
      line.append(format.formatted(cells.get(c)));
    }
    out.println(line);
  }

  private static String cell(Object value) {
    if (value == null) {
      return "-";
    }
    if (value instanceof Double number) {
      boolean plain = number == 0 || (Math.abs(number) >= 1e-3 && Math.abs(number) < 1e6);
      String format = plain ? (Math.abs(number) >= 1000 ? "%,.0f" : "%.4g") : "%.2e";
      return String.format(Locale.ROOT, format, number);
    }
    return value.toString();
  }

  private void write(Result result) throws IOException {
    ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    ObjectNode object = mapper.createObjectNode();
    object.put("name", result.name());
    ObjectNode figures = object.putObject("figures");
    ObjectNode spreads = mapper.createObjectNode();
    result
        .figures()
        .forEach(
            (key, figure) -> {
              figures.put(key, figure.value());
              spreads.put(key, figure.spread());
            });
    ObjectNode conditions = mapper.valueToTree(result.conditions());
    conditions.put("seed", seed);
    conditions.put("quick", quick);
    conditions.set("spread_by_figure", spreads);
    object.set("conditions", conditions);
    if (!result.tables().isEmpty()) {
      ObjectNode tables = object.putObject("tables");
      for (Result.Table table : result.tables()) {
        ArrayNode rows = tables.putArray(table.name());
        for (List<Object> row : table.rows()) {
          ObjectNode cells = rows.addObject();
          for (int c = 0; c < row.size(); c++) {
            cells.set(table.columns().get(c), mapper.valueToTree(row.get(c)));
          }
        }
      }
    }
    if (!result.failures().isEmpty()) {
      object.set("failures", mapper.valueToTree(result.failures()));
    }
    Path folder = json.toAbsolutePath().getParent();
    Files.createDirectories(folder);
    Files.write(json, mapper.writeValueAsBytes(object));
  }
}
