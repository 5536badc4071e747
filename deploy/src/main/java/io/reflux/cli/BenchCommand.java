package io.reflux.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.bench.Benchmark;
import io.reflux.bench.Benchmarks;
import io.reflux.bench.Result;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
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
    Benchmark benchmark =
        Benchmarks.all().stream()
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
    Result result = benchmark.run(quick, spec.commandLine().getErr());
    out.printf("%-36s %14s  %-12s %5s %8s%n", "FIGURE", "MEDIAN", "UNIT", "RUNS", "SPREAD");
    result
        .figures()
        .forEach(
            (key, figure) ->
                out.printf(
                    "%-36s %14.4g  %-12s %5d %7.1f%%%n",
                    key, figure.value(), figure.unit(), figure.runs(), 100 * figure.spread()));
    out.flush();
    if (json != null) {
      write(result);
    }
    return 0;
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
    conditions.set("spread_by_figure", spreads);
    object.set("conditions", conditions);
    Files.write(json, mapper.writeValueAsBytes(object));
  }
}
