package io.reflux.cli;

import io.reflux.config.Settings;
import java.io.PrintWriter;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Shows settings. */
@Command(
    name = "config",
    description = "Shows the effective settings.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = ConfigCommand.Print.class)
final class ConfigCommand {
  @Command(
      name = "print",
      description = {
        "Prints every setting with its effective value and where it came from; secrets are masked.",
        "Each key may stand in --config FILE, in --set KEY=VALUE, or in the environment: "
            + "reflux.kafka.bootstrap-servers is REFLUX_KAFKA_BOOTSTRAP_SERVERS."
      },
      mixinStandardHelpOptions = true)
  static final class Print implements Runnable {
    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      PrintWriter out = spec.commandLine().getOut();
      for (Settings.Entry entry : config.load(Map.of(), Map.of()).effective()) {
        out.printf("%-62s # %s%n", entry.key() + "=" + entry.value(), entry.source());
      }
      out.flush();
    }
  }
}
