package io.reflux.monitor.probe;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.divergence.TeacherLabels;
import io.reflux.model.divergence.TeacherStudentDivergence;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.snapshots.FetchedSnapshot;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** A snapshot, opened for scoring. Belongs to one thread. */
final class ServedStudent implements AutoCloseable {
  /** The student's own likeliest ids: its mass outside the teacher's is exact to more digits so. */
  private static final int OWN_IDS = 32;

  private final SnapshotManifest manifest;
  private final String tokenizerFingerprint;
  private final int vocabularySize;
  private final int maxPositions;
  private final Scorer scorer;

  private ServedStudent(SnapshotManifest manifest, LanguageModel model, RuntimeOptions runtime) {
    this.manifest = manifest;
    this.tokenizerFingerprint = model.tokenizerFingerprint();
    this.vocabularySize = model.config().vocabularySize();
    this.maxPositions = model.config().maxPositions();
    this.scorer =
        new Scorer(model.config(), model.weights(), Math.min(OWN_IDS, vocabularySize), runtime);
  }

  /**
   * @throws ModelException when the snapshot is no model, or its tokenizer is not the manifest's
   */
  static ServedStudent open(FetchedSnapshot snapshot, RuntimeOptions runtime) {
    LanguageModel model = LanguageModel.load(snapshot.directory());
    String promised = snapshot.manifest().getTokenizerFingerprint();
    if (!model.tokenizerFingerprint().equals(promised)) {
      throw new ModelException(
          "snapshot "
              + snapshot.version()
              + ": tokenizer "
              + model.tokenizerFingerprint()
              + " (expected: "
              + promised
              + ", which its manifest names)");
    }
    return new ServedStudent(snapshot.manifest(), model, runtime);
  }

  long version() {
    return manifest.getVersion();
  }

  /**
   * Whether the student may have been trained on a record: its manifest says how far into each
   * partition the training had come.
   */
  boolean trainedOn(Received<?> record) {
    Long next = manifest.getInputOffsets().get(record.topic() + "-" + record.partition());
    return next != null && record.offset() < next;
  }

  /** Why labels cannot be compared with this student, if they cannot. */
  Optional<Refusal> refuse(SoftLabels labels) {
    if (!labels.getTokenizerFingerprint().equals(tokenizerFingerprint)) {
      return mismatch("tokenizer", labels.getTokenizerFingerprint(), tokenizerFingerprint);
    }
    if (!labels.getTeacherFingerprint().equals(manifest.getTeacherFingerprint())) {
      return mismatch("teacher", labels.getTeacherFingerprint(), manifest.getTeacherFingerprint());
    }
    if (!labels.getChatTemplateFingerprint().equals(manifest.getChatTemplateFingerprint())) {
      return mismatch(
          "chat_template",
          labels.getChatTemplateFingerprint(),
          manifest.getChatTemplateFingerprint());
    }
    if (labels.getVocabularySize() != vocabularySize) {
      return refusal(
          "vocabulary_mismatch", "vocabulary_size", labels.getVocabularySize(), vocabularySize);
    }
    if (!ScoreRequest.isTemperature(labels.getTemperature())) {
      return refusal("temperature", "temperature", labels.getTemperature(), "0.01 to 100");
    }
    int tokens = labels.getTokenIds().size();
    if (tokens > maxPositions) {
      return refusal("too_long", "tokens", tokens, "at most " + maxPositions);
    }
    if (labels.getPromptLength() < 1 || labels.getPromptLength() > tokens) {
      return refusal(
          "bad_prompt_length", "prompt_length", labels.getPromptLength(), "1 to " + tokens);
    }
    int maskBytes = (tokens - labels.getPromptLength() + 7) / 8;
    if (labels.getLossMask() != null && labels.getLossMask().remaining() != maskBytes) {
      return refusal("bad_mask", "loss_mask bytes", labels.getLossMask().remaining(), maskBytes);
    }
    return Optional.empty();
  }

  /** Why a block of labels does not belong to its sequence, or says too little, if so. */
  Optional<Refusal> refuse(Labelled labelled) {
    int positions = labelled.tokens() - labelled.received().value().getPromptLength();
    if (labelled.block().rows() != positions) {
      return refusal("bad_rows", "labelled positions", labelled.block().rows(), positions);
    }
    if (labelled.block() instanceof SupportBlock) {
      return refusal("support_unmatched", "labels", "of a rollout's own ids", "topk or sampled");
    }
    if (labelled.block() instanceof SampledBlock draws) {
      for (int row = 0; row < positions; row++) {
        if (labelled.counts(row) && Float.isNaN(draws.entropy()[row])) {
          return refusal("entropy_unknown", "teacher's entropy", "unknown", "with draws, a number");
        }
      }
    }
    return Optional.empty();
  }

  /**
   * Compares a batch.
   *
   * @return one answer each, in order
   * @throws ModelException when the batch cannot be scored
   */
  List<Divergence> compare(List<Labelled> batch) {
    List<TeacherLabels> teachers = batch.stream().map(Labelled::teacher).toList();
    List<ScoreRequest> requests = new ArrayList<>(batch.size());
    for (int i = 0; i < batch.size(); i++) {
      requests.add(batch.get(i).request(teachers.get(i)));
    }
    List<Scores> scores = scorer.score(requests);
    List<Divergence> divergences = new ArrayList<>(batch.size());
    for (int i = 0; i < batch.size(); i++) {
      divergences.add(divergence(batch.get(i), teachers.get(i), scores.get(i)));
    }
    return divergences;
  }

  private Divergence divergence(Labelled labelled, TeacherLabels teacher, Scores scores) {
    SoftLabels labels = labelled.received().value();
    TeacherStudentDivergence.Result result =
        TeacherStudentDivergence.compare(teacher, scores, labelled::counts);
    double entropy = 0;
    int entropyRows = 0;
    for (int row = 0; row < teacher.rows(); row++) {
      float ofRow = labelled.block().entropy()[row];
      // A teacher on another machine may not tell it.
      if (labelled.counts(row) && !Float.isNaN(ofRow)) {
        entropy += ofRow;
        entropyRows++;
      }
    }
    return Divergence.newBuilder()
        .setRequestId(labels.getRequestId())
        .setSegment(labels.getSegment())
        .setRequestedAt(labels.getRequestedAt())
        .setStudentVersion(version())
        .setTeacherFingerprint(labels.getTeacherFingerprint())
        .setPositions(Math.toIntExact(result.rows()))
        .setKlSum(result.klSum())
        .setKlMax(result.klMax())
        .setAgreements(Math.toIntExact(result.agreements()))
        .setAcceptanceSum(result.acceptanceSum())
        .setAcceptanceRows(Math.toIntExact(result.acceptanceRows()))
        .setEntropySum(entropy)
        .setEntropyRows(entropyRows)
        .build();
  }

  @Override
  public void close() {
    scorer.close();
  }

  private Optional<Refusal> mismatch(String what, String found, String expected) {
    return Optional.of(
        new Refusal(
            what + "_mismatch",
            String.format(
                Locale.ROOT,
                "%s_fingerprint: %s (expected: %s, of snapshot %d)",
                what,
                found,
                expected,
                version())));
  }

  private Optional<Refusal> refusal(String reason, String what, Object found, Object expected) {
    return Optional.of(
        new Refusal(
            reason,
            what + ": " + found + " (expected: " + expected + ", of snapshot " + version() + ")"));
  }
}
