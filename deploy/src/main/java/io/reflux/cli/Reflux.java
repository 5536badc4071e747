package io.reflux.cli;

import io.reflux.model.ModelException;
import io.reflux.run.RunCommand;
import io.reflux.schemas.service.RefluxException;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The {@code reflux} command. */
@Command(
    name = "reflux",
    description =
        "Online distillation on Kafka: keeps a small student language model true to its teacher on "
            + "the traffic you really have.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      RunCommand.class,
      ServiceCommand.Mirror.class,
      ServiceCommand.Score.class,
      ServiceCommand.Train.class,
      ServiceCommand.Serve.class,
      SidecarCommand.class,
      ServiceCommand.Monitor.class,
      GenerateCommand.class,
      EvaluateCommand.class,
      CompressCommand.class,
      PretrainCommand.class,
      GenerateTrafficCommand.class,
      LabelsCommand.class,
      PlotCommand.class,
      SnapshotsCommand.class,
      KeysCommand.class,
      TopicsCommand.class,
      ConfigCommand.class,
      DevCommand.class,
      BenchCommand.class,
    },
    footer = {"", "Start with: reflux run"})
public final class Reflux {
  private Reflux() {}

  /**
   * Runs the command and ends the process with its exit code: 0, 1 for a failure, 2 for bad usage.
   */
  public static void main(String[] args) {
    Logging.quiet();
    CommandLine line = commandLine();
    // Tokens are of any script, whatever the locale of a container says.
    line.setOut(new PrintWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8), true));
    int code = line.execute(args);
    // Native engines leave threads behind that are not daemons.
    System.exit(code);
  }

  /** The whole command, for the launcher and for tests. */
  public static CommandLine commandLine() {
    CommandLine line = new CommandLine(new Reflux());
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setUsageHelpAutoWidth(true);
    line.setUsageHelpLongOptionsMaxWidth(34);
    line.setExecutionExceptionHandler((e, command, parsed) -> report(e, command));
    return line;
  }

  private static int report(Exception e, CommandLine command) {
    PrintWriter err = command.getErr();
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof RefluxException || cause instanceof ModelException) {
        err.println("reflux: " + cause.getMessage());
        err.flush();
        return 1;
      }
    }
    err.println("reflux: internal error: " + e + internalErrorFile(e));
    err.flush();
    return 1;
  }

  /** A stack trace helps whoever mends it, and nobody at the terminal. */
  private static String internalErrorFile(Exception e) {
    StringWriter trace = new StringWriter();
    e.printStackTrace(new PrintWriter(trace, true));
    try {
      Path file = Files.createTempFile("reflux-error-", ".txt");
      Files.writeString(file, trace.toString());
      return " (details: " + file + ")";
    } catch (java.io.IOException unwritable) {
      return System.lineSeparator() + trace;
    }
  }
}
