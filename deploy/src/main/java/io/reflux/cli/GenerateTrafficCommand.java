package io.reflux.cli;

import io.reflux.schemas.service.RefluxException;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import io.reflux.traffic.TrafficStream;
import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Writes the generated support-desk language to a file. */
@Command(
    name = "generate-traffic",
    description = "Writes prompts and responses of the generated support-desk language as JSONL.",
    mixinStandardHelpOptions = true)
final class GenerateTrafficCommand implements Runnable {
  enum Mix {
    UNIFORM,
    INITIAL,
    SHIFTED
  }

  @Option(names = "--out", required = true, paramLabel = "FILE", description = "Where to write.")
  private Path out;

  @Option(
      names = "--count",
      defaultValue = "10000",
      description = "Lines (default: ${DEFAULT-VALUE}).")
  private int count;

  @Option(
      names = "--mix",
      defaultValue = "uniform",
      description = "uniform over the intents, initial or shifted as 'reflux run' sends them.")
  private Mix mix;

  @Option(names = "--seed", defaultValue = "1", description = "Same seed, same lines.")
  private long seed;

  @Spec private CommandSpec spec;

  @Override
  public void run() {
    if (count < 1) {
      throw new RefluxException("--count: " + count + " (expected: 1 or more)");
    }
    SupportDeskLanguage language = SupportDeskLanguage.standard();
    TrafficMix chosen =
        switch (mix) {
          case UNIFORM -> TrafficMix.uniform(language);
          case INITIAL -> TrafficMix.initial(language);
          case SHIFTED -> TrafficMix.shifted(language);
        };
    TrafficStream stream = language.stream(chosen, seed);
    try (Writer writer = Files.newBufferedWriter(out)) {
      SupportDeskLanguage.writeJsonl(Stream.generate(stream::next).limit(count), writer);
    } catch (IOException e) {
      throw new RefluxException("--out: " + out + ": " + e.getMessage(), e);
    }
    spec.commandLine().getOut().println(count + " lines in " + out);
    spec.commandLine().getOut().flush();
  }
}
