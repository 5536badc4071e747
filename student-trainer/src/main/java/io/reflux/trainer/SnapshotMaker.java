package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.Scorer;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.snapshots.FetchedSnapshot;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotFetcher;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotInfo.Lineage;
import io.reflux.snapshots.SnapshotPublisher;
import io.reflux.trainer.gate.GateVerdict;
import io.reflux.trainer.gate.SnapshotGate;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compresses the student, measures what would ship, and publishes it if it holds against what is
 * published. One thread at a time.
 */
final class SnapshotMaker implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(SnapshotMaker.class);

  /** The student's own likeliest ids that tail masses are computed from. */
  private static final int OWN_IDS = 16;

  private final TrainerConfig config;
  private final LanguageModel teacher;
  private final SnapshotAccess access;
  private final SnapshotPublisher publisher;
  private final Path directory;
  private final SnapshotGate gate;
  private final ShippedFormats formats;
  private final LiveQuantisation quantisation;
  private Optional<Published> published = Optional.empty();

  /**
   * A student as training left it.
   *
   * @param offsets next offsets to train on
   * @param times of the requests trained on, as far as they are held
   * @param heldOut to measure on
   * @param traffic newest token ids that it is trained on, oldest first, to calibrate on
   */
  record Candidate(
      ModelConfig student,
      Weights weights,
      long step,
      long rowsTrained,
      long parameters,
      Map<String, Long> offsets,
      Optional<TimeRange> times,
      List<LabelledSequence> heldOut,
      List<int[]> traffic) {}

  /**
   * What became of it.
   *
   * @param version published; empty if it was held back
   * @param step of the candidate
   * @param leftOut why a format is not among what was published, a line each
   */
  record Outcome(Optional<Long> version, long step, GateVerdict verdict, List<String> leftOut) {
    /** In one line, for people. */
    String line() {
      if (version.isEmpty()) {
        return "Snapshot of step %d held back: %s".formatted(step, verdict.line());
      }
      return "Snapshot %d published at step %d%s: %s%s"
          .formatted(
              version.get(),
              step,
              verdict.isHeldBack() ? ", the gate being off, although" : "",
              verdict.line(),
              leftOut.stream().map(line -> "; " + line).collect(Collectors.joining()));
    }
  }

  private record Published(SnapshotManifest manifest, HeldOutScoring scoring) {
    long version() {
      return manifest.getVersion();
    }
  }

  SnapshotMaker(TrainerConfig config, LanguageModel teacher, SnapshotAccess access) {
    this.config = config;
    this.teacher = teacher;
    this.access = access;
    this.publisher = new SnapshotPublisher(access, config.dataDir().resolve("base"));
    this.directory = config.dataDir().resolve("snapshots");
    this.gate =
        new SnapshotGate(
            config.gateTolerance(), config.gateSegmentMinimum(), config.gateMinimumAgreement());
    this.formats = new ShippedFormats(config.snapshotFormats(), config.snapshotFormatDivergence());
    this.quantisation = new LiveQuantisation(config);
  }

  /**
   * Takes up what the channel serves, to measure candidates against.
   *
   * @return false if nothing comparable is published
   */
  boolean takeUpPublished() {
    Optional<SnapshotPointer> pointer = new SnapshotCatalog(access).pointer(config.channel());
    if (pointer.isEmpty()) {
      return false;
    }
    long served = pointer.get().getVersion();
    if (published.isPresent() && published.get().version() == served) {
      return true;
    }
    SnapshotFetcher fetcher = new SnapshotFetcher(access, config.dataDir().resolve("published"));
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
    HeldOutScoring scoring = scoring(LanguageModel.load(snapshot.directory()));
    replacePublished(new Published(manifest, scoring));
    return true;
  }

  /**
   * Compresses, measures and perhaps publishes.
   *
   * @throws SnapshotException if it should be published and was not
   */
  Outcome make(Candidate candidate) {
    if (published.isPresent()) {
      // Somebody may have rolled the channel back: what is served now is what is to be held.
      takeUpPublished();
    }
    Path draft = directory.resolve("draft");
    delete(draft);
    Weights compressed =
        quantisation.quantise(candidate.student(), candidate.weights(), candidate.traffic());
    LanguageModel.save(
        draft,
        candidate.student(),
        compressed,
        config.snapshotFormat().dtype(),
        teacher.directory());
    LanguageModel artefact = LanguageModel.load(draft);
    HeldOutScoring scoring = scoring(artefact);
    boolean kept = false;
    try {
      GateVerdict verdict = judge(scoring, candidate.heldOut());
      if (config.gate() && verdict.isHeldBack()) {
        return new Outcome(Optional.empty(), candidate.step(), verdict, List.of());
      }
      ShippedFormats.Offer offer =
          formats.write(
              draft,
              artefact,
              candidate.heldOut().stream().map(LabelledSequence::tokenIds).toList());
      GoldenWriter.write(artefact, config.goldenPrompts(), candidate.heldOut());
      SnapshotManifest manifest =
          publisher.publish(draft, info(candidate, artefact, verdict, offer), config.channel());
      kept = true;
      replacePublished(new Published(manifest, scoring));
      return new Outcome(
          Optional.of(manifest.getVersion()), candidate.step(), verdict, offer.leftOut());
    } finally {
      if (!kept) {
        scoring.close();
      }
      delete(draft);
    }
  }

  @Override
  public void close() {
    published.ifPresent(served -> served.scoring().close());
    publisher.close();
  }

  private GateVerdict judge(HeldOutScoring scoring, List<LabelledSequence> heldOut) {
    // What is published may have been of another shape, with room for less.
    int room =
        Math.min(
            scoring.maxPositions(),
            published.map(old -> old.scoring().maxPositions()).orElse(Integer.MAX_VALUE));
    List<LabelledSequence> sequences =
        heldOut.stream().filter(sequence -> sequence.tokenIds().length <= room).toList();
    return gate.judge(
        sequences.stream().map(LabelledSequence::segment).toList(),
        scoring.measure(sequences),
        published.map(old -> old.scoring().measure(sequences)));
  }

  private void replacePublished(Published next) {
    published.ifPresent(old -> old.scoring().close());
    published = Optional.of(next);
  }

  private static HeldOutScoring scoring(LanguageModel model) {
    int k = Math.min(OWN_IDS, model.config().vocabularySize());
    return new HeldOutScoring(
        new Scorer(model.config(), model.weights(), k, RuntimeOptions.DEFAULT));
  }

  private SnapshotInfo info(
      Candidate candidate,
      LanguageModel artefact,
      GateVerdict verdict,
      ShippedFormats.Offer offer) {
    Map<String, Double> figures = new TreeMap<>(verdict.figures());
    figures.putAll(offer.figures());
    String build = SnapshotMaker.class.getPackage().getImplementationVersion();
    return new SnapshotInfo(
        config.studentName(),
        config.snapshotFormat().toString(),
        artefact.fingerprint(),
        teacher.fingerprint(),
        teacher.tokenizerFingerprint(),
        teacher.chatTemplateFingerprint(),
        candidate.step(),
        candidate.rowsTrained(),
        candidate.parameters(),
        candidate.offsets(),
        figures,
        config.seed(),
        build == null ? "development" : build,
        Optional.of(lineage(candidate)),
        offer.formats());
  }

  private Lineage lineage(Candidate candidate) {
    Optional<TimeRange> times = TimeRange.and(candidate.times(), timesBefore(candidate));
    return new Lineage(
        String.valueOf(teacher.directory().toAbsolutePath().normalize().getFileName()),
        times.map(TimeRange::from),
        times.map(TimeRange::to),
        SettingsText.shapingWeights(config));
  }

  /**
   * What the buffers have let go of is known from the published snapshot, where the candidate went
   * on from it or from what it came from.
   */
  private Optional<TimeRange> timesBefore(Candidate candidate) {
    return published
        .map(Published::manifest)
        .filter(manifest -> manifest.getTrainingStep() <= candidate.step())
        .filter(manifest -> manifest.getStudentName().equals(config.studentName()))
        .filter(manifest -> manifest.getSeed() == config.seed())
        .map(SnapshotManifest::getLineage)
        .filter(lineage -> lineage.getTrainedFrom() != null && lineage.getTrainedTo() != null)
        .map(lineage -> new TimeRange(lineage.getTrainedFrom(), lineage.getTrainedTo()));
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
