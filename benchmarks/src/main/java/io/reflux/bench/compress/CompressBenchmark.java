package io.reflux.bench.compress;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Medians;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Calibration;
import io.reflux.model.compress.CalibrationSums;
import io.reflux.model.compress.PrunedModel;
import io.reflux.model.compress.PruningOptions;
import io.reflux.model.compress.PruningTarget;
import io.reflux.model.compress.QuantisationMethod;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.compress.StructuredPruning;
import io.reflux.model.evaluate.Fidelity;
import io.reflux.model.evaluate.Throughput;
import io.reflux.model.gguf.GgufType;
import io.reflux.model.runtime.RuntimeOptions;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/** Every way to make a model smaller, each measured on the files that it ends in. */
public final class CompressBenchmark implements Benchmark {
  private static final RuntimeOptions RUNTIME = RuntimeOptions.DEFAULT;
  private static final List<String> PRUNED = List.of("neurons:0.75", "kv:0.5", "layers:0.75");

  private final Size chosen;

  /**
   * How much is measured.
   *
   * @param texts lines to calibrate on and to measure on
   * @param runs of every speed
   */
  record Size(Subject.Size texts, int runs) {
    static final Size FULL = new Size(new Subject.Size(1500, 1500), 7);
    static final Size QUICK = new Size(new Subject.Size(200, 200), 3);
  }

  public CompressBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  CompressBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "compress";
  }

  @Override
  public String description() {
    return "size, divergence, perplexity and speed of every way to make a model smaller";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(
        BenchmarkOption.TEACHER, BenchmarkOption.DATA, BenchmarkOption.WORK, BenchmarkOption.PLOT);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    try (WorkFolder folder = WorkFolder.create("reflux-bench-compress-")) {
      Subject subject = Subject.of(options, size.texts(), folder.path(), progress);
      return measure(subject, size, options, folder.path(), progress);
    }
  }

  private static Result measure(
      Subject subject, Size size, BenchmarkOptions options, Path folder, PrintWriter progress)
      throws IOException {
    ModelConfig config = subject.model().config();
    Weights weights = subject.model().weights();
    Result.Builder result = new Result.Builder("compress");
    say(progress, "calibrating on %,d texts", subject.calibration().size());
    CalibrationSums sums = Calibration.sums(config, weights, subject.calibration(), RUNTIME);
    LayerErrors errors = new LayerErrors(weights, sums);
    List<Way> ways = ways(subject, sums, errors, result, progress);
    Fidelity fidelity = Fidelity.prepare(config, weights, subject.heldOut(), RUNTIME);
    List<Row> rows = new ArrayList<>();
    try (Throughput original = new Throughput(config, weights, RUNTIME)) {
      for (Way way : ways) {
        say(progress, "%s: measuring", way.name());
        Path files = Files.createDirectories(folder.resolve("way-" + rows.size()));
        Checkpoint written = way.write(subject.model(), files);
        rows.add(row(way, written, fidelity, original, files, size.runs()));
      }
    }
    Row original = rows.get(0);
    result
        .table(
            new Result.Table(
                "methods",
                Row.COLUMNS,
                rows.stream().map(row -> row.cells(original, rows)).toList()))
        .table(errors.table());
    for (Row row : rows) {
      result
          .sample(row.key() + "_size_ratio", (double) row.bytes() / original.bytes(), "")
          .sample(row.key() + "_kl", row.marks().kl(), "nats")
          .sample(row.key() + "_agreement", row.marks().agreement(), "")
          .sample(row.key() + "_perplexity_change", row.marks().perplexityChange(), "")
          .sample(row.key() + "_prefill_ratio", row.prefillRatio(), "")
          .sample(row.key() + "_decode_ratio", row.decodeRatio(), "");
    }
    result
        .condition("data", subject.data())
        .condition("parameters", config.parameters())
        .condition("shape", shape(config))
        .condition("calibration_texts", subject.calibration().size())
        .condition("calibration_tokens", sums.tokens())
        .condition("held_out_tokens", fidelity.tokens())
        .condition("perplexity", fidelity.perplexity())
        .condition(
            "kl", "over the original's likeliest %d ids and the rest".formatted(Fidelity.NAMED_IDS))
        .condition("speeds", "one sequence, one thread; ratios to float32 in the same run");
    if (options.plot().isPresent()) {
      CompressPlot.write(
          options.plot().get(),
          rows,
          "%s, %,d weights, %,d held-out tokens."
              .formatted(subject.data(), config.parameters(), fidelity.tokens()));
    }
    return result.build();
  }

  private static List<Way> ways(
      Subject subject,
      CalibrationSums sums,
      LayerErrors errors,
      Result.Builder result,
      PrintWriter progress) {
    ModelConfig config = subject.model().config();
    Weights weights = subject.model().weights();
    Checkpoint plain = new Checkpoint(config, weights);
    List<Way> ways = new ArrayList<>();
    ways.add(Way.stored("f32", "float", plain, DType.F32));
    for (WeightFormat format : List.of(WeightFormat.INT8, WeightFormat.INT4)) {
      List<String> methods = new ArrayList<>();
      for (QuantisationMethod method : QuantisationMethod.values()) {
        String name = format + " " + method;
        say(progress, "%s: quantising", name);
        Weights quantised =
            Quantiser.of(format, method, Quantiser.DEFAULT_BLOCK_SIZE)
                .quantise(config, weights, Optional.of(sums));
        errors.add(name, quantised);
        methods.add(name);
        ways.add(
            Way.stored(name, format.toString(), new Checkpoint(config, quantised), format.dtype()));
      }
      errors.outOfOrder(methods).forEach(result::failure);
      for (int i = 1; i < methods.size(); i++) {
        result.sample(
            methods.get(i).replace(' ', '_') + "_error_ratio",
            errors.ratio(methods.get(i), methods.get(0)),
            "");
      }
    }
    Weights fp8 = Quantiser.of(WeightFormat.FP8).quantise(config, weights);
    errors.add("fp8", fp8);
    ways.add(Way.stored("fp8", "fp8", new Checkpoint(config, fp8), WeightFormat.FP8.dtype()));
    for (String target : PRUNED) {
      say(progress, "%s: pruning", target);
      PrunedModel pruned =
          StructuredPruning.prune(
              config,
              weights,
              PruningTarget.parse(target).shape(config),
              PruningOptions.DEFAULT,
              subject.calibration(),
              RUNTIME);
      ways.add(
          Way.stored(
              target,
              "pruned, not yet trained again",
              new Checkpoint(pruned.config(), pruned.weights()),
              DType.F32));
    }
    for (GgufType type : List.of(GgufType.Q8_0, GgufType.Q4_0)) {
      ways.add(Way.gguf("GGUF " + type, plain, type));
    }
    return ways;
  }

  private static Row row(
      Way way, Checkpoint written, Fidelity fidelity, Throughput original, Path files, int runs)
      throws IOException {
    List<Throughput.Speed> speeds = new ArrayList<>();
    List<Double> prefill = new ArrayList<>();
    List<Double> decode = new ArrayList<>();
    try (Throughput small = new Throughput(written.config(), written.weights(), RUNTIME)) {
      // The first run warms up.
      for (int run = -1; run < runs; run++) {
        Throughput.Speed before = original.run(run);
        Throughput.Speed after = small.run(run);
        if (run >= 0) {
          speeds.add(after);
          prefill.add(after.prefill() / before.prefill());
          decode.add(after.decode() / before.decode());
        }
      }
    }
    return new Row(
        way.name(),
        way.family(),
        weightBytes(files),
        fidelity.of(written.config(), written.weights()),
        Medians.of(prefill),
        Medians.of(decode),
        Throughput.Speed.median(speeds));
  }

  private static long weightBytes(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      long bytes = 0;
      for (Path file : files.toList()) {
        if (file.getFileName().toString().startsWith("model.")) {
          bytes += Files.size(file);
        }
      }
      return bytes;
    }
  }

  private static String shape(ModelConfig config) {
    return "vocab=%d,hidden=%d,layers=%d,heads=%d,kv-heads=%d,ffn=%d"
        .formatted(
            config.vocabularySize(),
            config.hiddenSize(),
            config.layers(),
            config.heads(),
            config.keyValueHeads(),
            config.intermediateSize());
  }

  private static void say(PrintWriter progress, String format, Object... values) {
    progress.printf(format + "%n", values);
    progress.flush();
  }
}
