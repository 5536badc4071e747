package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Int8;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.Scorer;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.snapshots.FetchedSnapshot;
import io.reflux.snapshots.SnapshotCatalog;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotFetcher;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotPublisher;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compresses the student, measures what would ship, and publishes it if it holds against what is
 * published. One thread at a time.
 */
final class SnapshotMaker implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(SnapshotMaker.class);
  private static final String QUANTISATION = "int8";

  /** The student's own likeliest ids that tail masses are computed from. */
  private static final int OWN_IDS = 16;

  private final TrainerConfig config;
  private final LanguageModel teacher;
  private final KafkaClients clients;
  private final SnapshotPublisher publisher;
  private final Path directory;
  private Optional<Published> published = Optional.empty();

  /**
   * A student as training left it.
   *
   * @param offsets next offsets to train on
   * @param heldOut to measure on
   */
  record Candidate(
      ModelConfig student,
      Weights weights,
      long step,
      long rowsTrained,
      long parameters,
      Map<String, Long> offsets,
      List<LabelledSequence> heldOut) {}

  /**
   * What became of it.
   *
   * @param version published; empty if it was held back
   * @param quality of the candidate
   * @param publishedQuality of the published one on the same sequences; unknown without one
   */
  record Outcome(
      Optional<Long> version,
      long step,
      SnapshotQuality quality,
      SnapshotQuality publishedQuality) {}

  private record Published(long version, long step, Scorer scorer) {}

  SnapshotMaker(TrainerConfig config, LanguageModel teacher, KafkaClients clients) {
    this.config = config;
    this.teacher = teacher;
    this.clients = clients;
    this.publisher = new SnapshotPublisher(clients);
    this.directory = config.dataDir().resolve("snapshots");
  }

  /**
   * Takes up what the channel serves, to measure candidates against.
   *
   * @return false if nothing comparable is published
   */
  boolean takeUpPublished() {
    Optional<SnapshotPointer> pointer = new SnapshotCatalog(clients).pointer(config.channel());
    if (pointer.isEmpty()) {
      return false;
    }
    SnapshotFetcher fetcher = new SnapshotFetcher(clients, config.dataDir().resolve("published"));
    FetchedSnapshot snapshot = fetcher.fetch(pointer.get());
    fetcher.retain(Set.of(snapshot.version()));
    SnapshotManifest manifest = snapshot.manifest();
    boolean comparable =
        manifest.getTokenizerFingerprint().equals(teacher.tokenizerFingerprint())
            && manifest.getTeacherFingerprint().equals(teacher.fingerprint());
    if (!comparable) {
      log.warn(
          "Snapshot {} of channel {} is of another teacher or tokenizer; nothing is gated by it",
          snapshot.version(),
          config.channel());
      return false;
    }
    serve(manifest, snapshot.directory());
    return true;
  }

  /**
   * Compresses, measures and perhaps publishes.
   *
   * @throws SnapshotException if it should be published and was not
   */
  Outcome make(Candidate candidate) {
    Path draft = directory.resolve("draft");
    delete(draft);
    Weights compressed = Int8.quantise(candidate.student(), candidate.weights());
    LanguageModel.save(draft, candidate.student(), compressed, DType.I8, teacher.directory());
    LanguageModel artefact = LanguageModel.load(draft);
    Scorer scorer = scorer(artefact);
    boolean kept = false;
    try {
      SnapshotQuality quality = HeldOutScoring.quality(scorer, candidate.heldOut());
      SnapshotQuality before =
          published.isEmpty()
              ? SnapshotQuality.UNKNOWN
              : HeldOutScoring.quality(published.get().scorer(), candidate.heldOut());
      if (!passes(quality, before)) {
        return new Outcome(Optional.empty(), candidate.step(), quality, before);
      }
      SnapshotManifest manifest =
          publisher.publish(draft, info(candidate, artefact, quality), config.channel());
      kept = true;
      published.ifPresent(old -> old.scorer().close());
      published = Optional.of(new Published(manifest.getVersion(), candidate.step(), scorer));
      return new Outcome(Optional.of(manifest.getVersion()), candidate.step(), quality, before);
    } finally {
      if (!kept) {
        scorer.close();
      }
      delete(draft);
    }
  }

  @Override
  public void close() {
    published.ifPresent(served -> served.scorer().close());
    publisher.close();
  }

  private boolean passes(SnapshotQuality quality, SnapshotQuality before) {
    if (published.isEmpty() || !config.gate()) {
      return true;
    }
    // Nothing to measure on is no reason to replace what is served.
    return quality.isKnown() && quality.holdsAgainst(before, config.gateTolerance());
  }

  private void serve(SnapshotManifest manifest, Path model) {
    published =
        Optional.of(
            new Published(
                manifest.getVersion(),
                manifest.getTrainingStep(),
                scorer(LanguageModel.load(model))));
  }

  private Scorer scorer(LanguageModel model) {
    int k = Math.min(OWN_IDS, model.config().vocabularySize());
    return new Scorer(model.config(), model.weights(), k, RuntimeOptions.DEFAULT);
  }

  private SnapshotInfo info(Candidate candidate, LanguageModel artefact, SnapshotQuality quality) {
    String build = SnapshotMaker.class.getPackage().getImplementationVersion();
    return new SnapshotInfo(
        config.studentName(),
        QUANTISATION,
        artefact.fingerprint(),
        teacher.fingerprint(),
        teacher.tokenizerFingerprint(),
        teacher.chatTemplateFingerprint(),
        candidate.step(),
        candidate.rowsTrained(),
        candidate.parameters(),
        candidate.offsets(),
        quality.figures(),
        config.seed(),
        build == null ? "development" : build);
  }

  private static void delete(Path directory) {
    if (!Files.exists(directory)) {
      return;
    }
    try (Stream<Path> entries = Files.walk(directory)) {
      for (Path entry : entries.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(entry);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
