package io.reflux.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.LanguageModel;
import io.reflux.model.evaluate.Evaluation;
import io.reflux.model.evaluate.Example;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.pretrain.PromptResponse;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Holds a model against reference answers and its teacher. */
@Command(
    name = "evaluate",
    description = "Measures a model's accuracy on a file, and its agreement with its teacher.",
    mixinStandardHelpOptions = true)
final class EvaluateCommand implements Runnable {
  private static final int SLOTS = 32;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR|SNAPSHOT",
      description = "A Hugging Face directory, snapshot:N or snapshot:latest.")
  private String model;

  @Option(names = "--teacher", paramLabel = "DIR", description = "The teacher to agree with.")
  private Path teacher;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE.jsonl",
      description = "Lines of {\"prompt\": …, \"response\": …}.")
  private Path data;

  @Option(
      names = "--max-tokens",
      defaultValue = "64",
      description = "Longest answer (default: ${DEFAULT-VALUE}).")
  private int maxTokens;

  @Option(names = "--limit", paramLabel = "N", description = "Only the first N lines.")
  private Integer limit;

  @Option(
      names = "--threads",
      defaultValue = "1",
      description = "Processor threads (default: ${DEFAULT-VALUE}).")
  private int threads;

  @Option(names = "--device", defaultValue = "cpu", description = "cpu, cuda[:N] or tensorrt[:N].")
  private String device;

  @Option(names = "--json", paramLabel = "FILE", description = "Also write the figures here.")
  private Path json;

  @Mixin private ConfigOptions config;
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    List<Example> examples =
        PromptResponse.read(data).stream()
            .limit(limit == null ? Long.MAX_VALUE : limit)
            .map(line -> new Example(line.prompt(), line.response()))
            .toList();
    LanguageModel student = ModelReference.load("--model", model, config);
    LanguageModel against =
        teacher == null ? null : ModelReference.load("--teacher", teacher.toString(), config);
    PrintWriter out = spec.commandLine().getOut();
    out.printf("%,d prompts …%n", examples.size());
    out.flush();
    Evaluation.Report report =
        Evaluation.run(
            student,
            against,
            examples,
            new Evaluation.Options(maxTokens, SLOTS, RuntimeOptions.of(threads, device)));
    row(out, "accuracy", OptionalDouble.of(report.accuracy()));
    row(out, "teacher accuracy", report.teacherAccuracy());
    row(out, "agreement", report.agreement());
    row(out, "exact match", report.exactMatch());
    out.printf(Locale.ROOT, "%-18s %,.0f%n", "tokens/s", report.tokensPerSecond());
    out.flush();
    if (json != null) {
      write(report, student);
    }
  }

  private static void row(PrintWriter out, String name, OptionalDouble share) {
    if (share.isPresent()) {
      out.printf(Locale.ROOT, "%-18s %.4f%n", name, share.getAsDouble());
    }
  }

  private void write(Evaluation.Report report, LanguageModel student) {
    ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    ObjectNode object = mapper.createObjectNode();
    object.put("n", report.n());
    object.put("accuracy", report.accuracy());
    report.teacherAccuracy().ifPresent(v -> object.put("teacher_accuracy", v));
    report.agreement().ifPresent(v -> object.put("agreement", v));
    report.exactMatch().ifPresent(v -> object.put("exact_match", v));
    object.put("tokens_per_second", report.tokensPerSecond());
    object.put("model", model);
    object.put("model_fingerprint", student.fingerprint());
    object.put("data", data.toString());
    try {
      Files.write(json, mapper.writeValueAsBytes(object));
    } catch (IOException e) {
      throw new RefluxException("--json: " + json + ": " + e.getMessage(), e);
    }
  }
}
