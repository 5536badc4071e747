package io.reflux.cli;

import io.reflux.config.Settings;
import io.reflux.model.LanguageModel;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotCatalog;
import io.reflux.snapshots.SnapshotFetcher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A model named on the command line: a directory, or a snapshot on Kafka. */
final class ModelReference {
  private static final Pattern SNAPSHOT = Pattern.compile("snapshot:(latest|\\d+)");

  private ModelReference() {}

  /**
   * Loads {@code DIR}, {@code snapshot:N} or {@code snapshot:latest}.
   *
   * @param option the option's name, for messages
   */
  static LanguageModel load(String option, String reference, ConfigOptions config) {
    Matcher snapshot = SNAPSHOT.matcher(reference);
    if (snapshot.matches()) {
      return LanguageModel.load(fetch(option, snapshot.group(1), config));
    }
    Path directory = Path.of(reference);
    if (!Files.isDirectory(directory)) {
      throw new RefluxException(
          option
              + ": "
              + reference
              + " (expected: a Hugging Face directory, snapshot:N or snapshot:latest)");
    }
    return LanguageModel.load(directory);
  }

  private static Path fetch(String option, String version, ConfigOptions config) {
    Settings settings = config.load(Map.of(), Map.of());
    KafkaClients clients = settings.clients();
    clients.requireReachable(Duration.ofSeconds(15));
    SnapshotCatalog catalog = new SnapshotCatalog(clients);
    try {
      long wanted =
          version.equals("latest")
              ? catalog
                  .latest()
                  .orElseThrow(
                      () ->
                          new RefluxException(
                              option
                                  + ": snapshot:latest (expected: at least one published snapshot)"))
                  .getVersion()
              : Long.parseLong(version);
      Path cache = Files.createTempDirectory("reflux-snapshot-");
      return new SnapshotFetcher(settings.snapshots(clients), cache).fetch(wanted);
    } catch (IOException e) {
      throw new RefluxException(option + ": " + e.getMessage(), e);
    }
  }
}
