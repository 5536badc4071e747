package io.reflux.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.compress.Compression;
import io.reflux.compress.CompressionPlan;
import io.reflux.compress.CompressionReport;
import io.reflux.compress.CompressionReport.Side;
import io.reflux.compress.Texts;
import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Makes a model smaller. */
@Command(
    name = "compress",
    description = {
      "Makes a model smaller, and measures what was written.",
      "Parts of the model go first, then bits, then comes the file's format."
    },
    mixinStandardHelpOptions = true)
final class CompressCommand implements Runnable {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR|SNAPSHOT",
      description = "A Hugging Face directory, snapshot:N or snapshot:latest.")
  private String model;

  @Option(
      names = "--target",
      required = true,
      split = ",",
      paramLabel = "TARGET",
      description = {
        "What it becomes; several with commas: neurons:0.75, kv-groups:0.5, layers:0.8 (shares to"
            + " keep), then int8, int4 or fp8, then gguf:TYPE with f32, f16, q8_0 or q4_0."
      })
  private List<String> targets;

  @Option(
      names = "--method",
      paramLabel = "METHOD",
      description = "How values are chosen: rtn, gptq or quantease (default: rtn).")
  private String method;

  @Option(
      names = "--calibration",
      paramLabel = "FILE.jsonl",
      description =
          "Lines of {\"prompt\": …, \"response\": …}: four of five to calibrate on, the fifth to"
              + " measure on.")
  private Path calibration;

  @Option(
      names = "--lines",
      paramLabel = "N",
      defaultValue = "2000",
      description = "Lines of it to take (default: ${DEFAULT-VALUE}).")
  private int lines;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "DIR",
      description = "Where to write: a new directory, or an empty one.")
  private Path out;

  @Option(
      names = "--threads",
      defaultValue = "1",
      description = "Processor threads (default: ${DEFAULT-VALUE}).")
  private int threads;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the figures here.")
  private Path json;

  @Mixin private ConfigOptions config;
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    // All that can be wrong with the input is said before anything is computed.
    CompressionPlan plan = CompressionPlan.parse(targets, method);
    Compression.requireEmpty(out);
    if (lines < 1) {
      throw new RefluxException("--lines: " + lines + " (expected: 1 or more)");
    }
    LanguageModel original = ModelReference.load("--model", model, config);
    Optional<Texts> texts =
        Optional.ofNullable(calibration)
            .map(file -> Texts.read("--calibration", file, original, lines));
    PrintWriter terminal = spec.commandLine().getOut();
    Compression compression =
        new Compression(
            original,
            plan,
            texts,
            RuntimeOptions.of(threads, "cpu"),
            line -> {
              terminal.println(line);
              terminal.flush();
            });
    CompressionReport report = compression.run(out);
    print(report, terminal);
    if (json != null) {
      write(report);
    }
  }

  private static void print(CompressionReport report, PrintWriter out) {
    Side before = report.original();
    Side after = report.compressed();
    out.printf("%n%-18s %14s %14s %9s%n", "", "original", "written", "ratio");
    row(out, "bytes", "%,.0f", before.bytes(), after.bytes());
    row(out, "parameters", "%,.0f", before.parameters(), after.parameters());
    row(out, "prefill tokens/s", "%,.0f", before.speed().prefill(), after.speed().prefill());
    row(out, "decode tokens/s", "%,.0f", before.speed().decode(), after.speed().decode());
    report
        .fidelity()
        .ifPresentOrElse(
            marks -> {
              row(out, "perplexity", "%.4f", before.perplexity(), after.perplexity());
              line(out, "perplexity change", "%+.2f %%", 100 * marks.perplexityChange());
              line(out, "KL, nats/token", "%.5f", marks.kl());
              line(out, "top-1 agreement", "%.2f %%", 100 * marks.agreement());
            },
            () -> out.println("KL, agreement and perplexity need texts: --calibration"));
    out.flush();
  }

  private static void row(
      PrintWriter out, String name, String format, double before, double after) {
    out.printf(
        Locale.ROOT,
        "%-18s %14s %14s %9.3f%n",
        name,
        String.format(Locale.ROOT, format, before),
        String.format(Locale.ROOT, format, after),
        after / before);
  }

  private static void line(PrintWriter out, String name, String format, double value) {
    out.printf(
        Locale.ROOT, "%-18s %14s %14s%n", name, "", String.format(Locale.ROOT, format, value));
  }

  private void write(CompressionReport report) {
    ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    ObjectNode object = mapper.createObjectNode();
    object.put("model", model);
    object.put("out", out.toString());
    object.set("targets", mapper.valueToTree(targets));
    object.put("method", method == null ? "rtn" : method);
    side(object.putObject("original"), report.original());
    side(object.putObject("written"), report.compressed());
    report
        .fidelity()
        .ifPresent(
            marks -> {
              object.put("tokens_measured", marks.tokens());
              object.put("kl", marks.kl());
              object.put("agreement", marks.agreement());
              object.put("perplexity_change", marks.perplexityChange());
            });
    try {
      Files.createDirectories(json.toAbsolutePath().getParent());
      Files.write(json, mapper.writeValueAsBytes(object));
    } catch (IOException e) {
      throw new RefluxException("--json: " + json + ": " + e.getMessage(), e);
    }
  }

  private static void side(ObjectNode object, Side side) {
    object.put("bytes", side.bytes());
    object.put("parameters", side.parameters());
    if (!Double.isNaN(side.perplexity())) {
      object.put("perplexity", side.perplexity());
    }
    object.put("prefill_tokens_per_second", side.speed().prefill());
    object.put("decode_tokens_per_second", side.speed().decode());
  }
}
