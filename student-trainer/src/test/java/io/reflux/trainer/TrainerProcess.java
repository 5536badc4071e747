package io.reflux.trainer;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.registry.RegistryConfig;
import io.smallrye.config.PropertiesConfigSource;
import io.smallrye.config.SmallRyeConfig;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;

/** A trainer in a process of its own, for tests to kill. */
final class TrainerProcess {
  /** What it prints before the port of its health. */
  static final String PORT = "port ";

  private TrainerProcess() {}

  /**
   * Starts one.
   *
   * @param log that it writes to
   */
  static Process start(
      KafkaConfig kafka, RegistryConfig registry, Map<String, String> settings, Path log)
      throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Dai.djl.offline=true",
                TrainerProcess.class.getName(),
                kafka.bootstrapServers(),
                kafka.prefix(),
                registry.url()));
    settings.forEach((key, value) -> command.add(key + "=" + value));
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
    // Not on the command line: ONNX Runtime 1.29 overflows its stack on one of some 10,000
    // characters.
    builder
        .environment()
        .put(
            "CLASSPATH",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")));
    return builder.start();
  }

  /** The newest step that a trainer has noted in its data directory; 0 before the first. */
  static long notedStep(Path data) {
    if (!Files.isDirectory(data)) {
      return 0;
    }
    try (var files = Files.list(data)) {
      long newest = 0;
      for (Path file : files.filter(path -> path.toString().endsWith(".journal")).toList()) {
        for (String line : Files.readString(file).split("\n", -1)) {
          String[] words = line.split(" ", -1);
          if (words[0].equals("step") && words.length > 2) {
            newest = Math.max(newest, Long.parseLong(words[1]));
          }
        }
      }
      return newest;
    } catch (IOException e) {
      // It was let go of meanwhile; the next look finds the one after it.
      return 0;
    }
  }

  public static void main(String[] args) {
    SmallRyeConfig config =
        new SmallRyeConfigBuilder()
            .withMapping(KafkaConfig.class)
            .withMapping(RegistryConfig.class)
            .withConverter(Path.class, 200, text -> text.isEmpty() ? null : Path.of(text))
            .withSources(
                new PropertiesConfigSource(
                    Map.of(
                        "reflux.kafka.bootstrap-servers", args[0],
                        "reflux.kafka.prefix", args[1],
                        "reflux.registry.url", args[2]),
                    "arguments",
                    100))
            .build();
    Map<String, String> settings = new HashMap<>();
    for (int i = 3; i < args.length; i++) {
      int equals = args[i].indexOf('=');
      settings.put(args[i].substring(0, equals), args[i].substring(equals + 1));
    }
    TrainerService trainer =
        new TrainerService(
            Settings.of(settings),
            new KafkaClients(
                config.getConfigMapping(KafkaConfig.class),
                config.getConfigMapping(RegistryConfig.class)),
            new SimpleMeterRegistry());
    trainer.start();
    System.out.println(PORT + trainer.port());
    try {
      trainer.termination().toCompletableFuture().join();
    } catch (CompletionException e) {
      // The service has said why in its log.
      Runtime.getRuntime().halt(1);
    }
    trainer.close();
  }
}
