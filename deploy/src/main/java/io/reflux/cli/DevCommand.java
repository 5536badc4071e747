package io.reflux.cli;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.kafka.Topics;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The embedded stack on its own. */
@Command(
    name = "dev",
    description = "A Kafka broker and schema registry for development.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = DevCommand.Broker.class)
final class DevCommand {
  @Command(
      name = "broker",
      description =
          "Starts a real single-node Kafka broker and a schema registry in this process, reachable "
              + "from this machine only, and creates the loop's topics.",
      mixinStandardHelpOptions = true)
  static final class Broker implements Runnable {
    @Option(
        names = "--data-dir",
        paramLabel = "DIR",
        defaultValue = ".reflux/broker",
        description = "Kept between starts (default: ${DEFAULT-VALUE}).")
    private Path dataDir;

    @Option(
        names = "--port",
        defaultValue = "9092",
        description = "Port of the broker (default: ${DEFAULT-VALUE}).")
    private int port;

    @Option(
        names = "--registry-port",
        defaultValue = "8081",
        description = "Port of the registry (default: ${DEFAULT-VALUE}).")
    private int registryPort;

    @Spec private CommandSpec spec;

    @Override
    public void run() {
      Logging.service();
      CountDownLatch asked = new CountDownLatch(1);
      CountDownLatch done = new CountDownLatch(1);
      try (DevStack stack = DevStack.start(dataDir, port, registryPort)) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> awaitStop(asked, done), "drain"));
        stack.clients().createTopics();
        stack.clients().registerSchemas();
        var out = spec.commandLine().getOut();
        out.println("broker:   " + stack.kafkaConfig().bootstrapServers());
        out.println("registry: " + stack.registryConfig().url());
        out.println("topics:   " + Topics.all().size() + " created; data in " + dataDir);
        out.println("Ctrl-C stops it; the data stays.");
        out.flush();
        awaitUninterrupted(asked);
      } finally {
        done.countDown();
      }
    }

    private static void awaitStop(CountDownLatch asked, CountDownLatch done) {
      asked.countDown();
      awaitUninterrupted(done);
    }

    private static void awaitUninterrupted(CountDownLatch latch) {
      try {
        latch.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
