package io.reflux.cli;

import io.reflux.config.Settings;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The topic catalogue. */
@Command(
    name = "topics",
    description = "Creates or describes the loop's topics.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {TopicsCommand.Create.class, TopicsCommand.Describe.class})
final class TopicsCommand {
  @Command(
      name = "create",
      description =
          "Creates the topics that are missing, leaves the others as they are, and registers the "
              + "schemas.",
      mixinStandardHelpOptions = true)
  static final class Create implements Runnable {
    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      KafkaClients clients = config.load(Map.of(), Map.of()).clients();
      clients.requireReachable(Duration.ofSeconds(15));
      clients.createTopics();
      clients.registerSchemas();
      PrintWriter out = spec.commandLine().getOut();
      Topics.all().forEach(topic -> out.println(topic.fullName(clients.kafka())));
      out.flush();
    }
  }

  @Command(
      name = "describe",
      description = "Prints the catalogue: what each topic holds, its key, partitions and limits.",
      mixinStandardHelpOptions = true)
  static final class Describe implements Runnable {
    @Mixin private ConfigOptions config;
    @Spec private CommandSpec spec;

    @Override
    public void run() {
      Settings settings = config.load(Map.of(), Map.of());
      KafkaConfig kafka = settings.get(KafkaConfig.class);
      PrintWriter out = spec.commandLine().getOut();
      String row = "%-28s %-16s %10s %9s %8s %9s  %s%n";
      out.printf(
          row, "TOPIC", "VALUE", "PARTITIONS", "RETENTION", "COMPACT", "MAX BYTES", "KEY; PURPOSE");
      for (Topic<?> topic : Topics.all()) {
        out.printf(
            row,
            topic.fullName(kafka),
            topic.type().getSimpleName(),
            topic.partitions(),
            retention(topic.retention()),
            topic.compacted() ? "yes" : "no",
            topic.maxRecordBytes(),
            topic.key() + "; " + topic.purpose());
      }
      out.flush();
    }

    private static String retention(Duration retention) {
      if (retention.isNegative()) {
        return "forever";
      }
      return retention.toDays() > 0 ? retention.toDays() + "d" : retention.toHours() + "h";
    }
  }
}
