package io.reflux.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.tokenizer.TokenStream;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Writes text with a model. */
@Command(
    name = "generate",
    description = "Writes text with any Hugging Face directory or snapshot.",
    mixinStandardHelpOptions = true)
final class GenerateCommand implements Callable<Integer> {
  @Option(
      names = "--model",
      required = true,
      paramLabel = "DIR|SNAPSHOT",
      description = "A Hugging Face directory, snapshot:N or snapshot:latest.")
  private String model;

  @Option(
      names = "--prompt",
      required = true,
      paramLabel = "TEXT|-",
      description = "What to answer; - reads it from standard input.")
  private String prompt;

  @Option(
      names = "--raw",
      description = "Continue the prompt as it stands, without the model's chat template.")
  private boolean raw;

  @Option(names = "--greedy", description = "Always take the likeliest token.")
  private boolean greedy;

  @Option(
      names = "--temperature",
      defaultValue = "0.8",
      description = "Sampling temperature without --greedy (default: ${DEFAULT-VALUE}).")
  private double temperature;

  @Option(
      names = "--top-p",
      defaultValue = "1",
      description = "Nucleus mass (default: ${DEFAULT-VALUE}).")
  private double topP;

  @Option(names = "--seed", description = "Same seed, same text (default: a new one each time).")
  private Long seed;

  @Option(
      names = "--max-tokens",
      defaultValue = "128",
      description = "Longest answer (default: ${DEFAULT-VALUE}).")
  private int maxTokens;

  @Option(
      names = "--threads",
      defaultValue = "1",
      description = "Processor threads (default: ${DEFAULT-VALUE}).")
  private int threads;

  @Option(names = "--device", defaultValue = "cpu", description = "cpu, cuda[:N] or tensorrt[:N].")
  private String device;

  @Option(
      names = "--json",
      description = "Print one JSON object: text, token_ids, tokens_per_second.")
  private boolean json;

  @Mixin private ConfigOptions config;
  @Spec private CommandSpec spec;

  @Override
  public Integer call() throws IOException, InterruptedException {
    if (maxTokens < 1) {
      throw new RefluxException("--max-tokens: " + maxTokens + " (expected: 1 or more)");
    }
    String text =
        prompt.equals("-")
            ? new String(System.in.readAllBytes(), StandardCharsets.UTF_8).stripTrailing()
            : prompt;
    LanguageModel loaded = ModelReference.load("--model", model, config);
    int[] promptIds =
        raw || loaded.chatTemplate().isEmpty()
            ? loaded.tokenizer().encode(text, true)
            : loaded.promptIds(text);
    if (promptIds.length == 0) {
      throw new RefluxException("--prompt: empty (expected: at least one token)");
    }
    SamplingOptions sampling =
        greedy
            ? SamplingOptions.GREEDY
            : new SamplingOptions(temperature, topP, 0, seed == null ? System.nanoTime() : seed);
    GenerationRequest request =
        new GenerationRequest(promptIds, maxTokens, sampling, loaded.stopIds(), 0);
    int positions = Math.min(loaded.config().maxPositions(), promptIds.length + maxTokens);
    PrintWriter out = spec.commandLine().getOut();
    TokenStream stream = loaded.tokenizer().stream();
    Consumer<Generation.Token> show =
        token -> {
          if (!json && !loaded.stopIds().contains(token.id())) {
            out.print(stream.push(token.id()));
            out.flush();
          }
        };
    try (GenerationEngine engine =
        new GenerationEngine(
            loaded.config(),
            loaded.weights(),
            new EngineOptions(1, positions),
            RuntimeOptions.of(threads, device))) {
      long started = System.nanoTime();
      Generation generation = engine.submit(request, show).result().get();
      double seconds = (System.nanoTime() - started) / 1e9;
      print(out, loaded, generation, seconds);
      return 0;
    } catch (ExecutionException e) {
      throw new RefluxException("generate: " + e.getCause().getMessage(), e.getCause());
    }
  }

  private void print(PrintWriter out, LanguageModel loaded, Generation generation, double seconds) {
    if (!json) {
      out.println();
      out.flush();
      return;
    }
    int[] ids = generation.tokenIds();
    ObjectNode object = new ObjectMapper().createObjectNode();
    object.put("text", loaded.tokenizer().decode(ids, true));
    for (int id : ids) {
      object.withArrayProperty("token_ids").add(id);
    }
    object.put("tokens_per_second", ids.length / seconds);
    object.put(
        "finish_reason", generation.finishReason().name().toLowerCase(java.util.Locale.ROOT));
    out.println(object);
    out.flush();
  }
}
