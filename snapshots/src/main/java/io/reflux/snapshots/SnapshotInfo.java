package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotLineage;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What a publisher knows of a student beside its files. Fingerprints are SHA-256 in lower-case hex.
 *
 * @param studentName name of the student's line of snapshots
 * @param quantisation how the weights are stored: none, int8, int4, fp8
 * @param studentFingerprint of the configuration and weights as they ship
 * @param teacherFingerprint of the teacher's configuration and weights
 * @param tokenizerFingerprint of tokenizer.json
 * @param chatTemplateFingerprint empty when the model has no chat template
 * @param trainingStep optimizer steps behind these weights
 * @param tokensTrained labelled tokens behind these weights
 * @param parameters number of weights
 * @param inputOffsets next offset to train on by {@code topic-partition}
 * @param quality figures measured on these very files
 * @param seed of the training run
 * @param codeVersion version of the build that publishes
 * @param lineage what else made the weights, where that is known
 * @param formats that the files offer, as {@link SnapshotFormat} names them; empty for safetensors
 *     alone
 */
public record SnapshotInfo(
    String studentName,
    String quantisation,
    String studentFingerprint,
    String teacherFingerprint,
    String tokenizerFingerprint,
    String chatTemplateFingerprint,
    long trainingStep,
    long tokensTrained,
    long parameters,
    Map<String, Long> inputOffsets,
    Map<String, Double> quality,
    long seed,
    String codeVersion,
    Optional<Lineage> lineage,
    List<String> formats) {

  public SnapshotInfo {
    Objects.requireNonNull(studentName, "studentName");
    Objects.requireNonNull(quantisation, "quantisation");
    Objects.requireNonNull(studentFingerprint, "studentFingerprint");
    Objects.requireNonNull(teacherFingerprint, "teacherFingerprint");
    Objects.requireNonNull(tokenizerFingerprint, "tokenizerFingerprint");
    Objects.requireNonNull(chatTemplateFingerprint, "chatTemplateFingerprint");
    Objects.requireNonNull(codeVersion, "codeVersion");
    inputOffsets = Map.copyOf(inputOffsets);
    quality = Map.copyOf(quality);
    formats = List.copyOf(formats);
  }

  /** Of safetensors alone, and no more lineage than the offsets, seed and code version. */
  public SnapshotInfo(
      String studentName,
      String quantisation,
      String studentFingerprint,
      String teacherFingerprint,
      String tokenizerFingerprint,
      String chatTemplateFingerprint,
      long trainingStep,
      long tokensTrained,
      long parameters,
      Map<String, Long> inputOffsets,
      Map<String, Double> quality,
      long seed,
      String codeVersion) {
    this(
        studentName,
        quantisation,
        studentFingerprint,
        teacherFingerprint,
        tokenizerFingerprint,
        chatTemplateFingerprint,
        trainingStep,
        tokensTrained,
        parameters,
        inputOffsets,
        quality,
        seed,
        codeVersion,
        Optional.empty(),
        List.of());
  }

  /**
   * What made the weights, beside offsets, seed and code version.
   *
   * @param teacherName that of its directory; empty when unknown
   * @param trainedFrom when the earliest request trained on was received
   * @param trainedTo when the latest request trained on was received
   * @param configuration settings that shape the weights, by their names
   */
  public record Lineage(
      String teacherName,
      Optional<Instant> trainedFrom,
      Optional<Instant> trainedTo,
      Map<String, String> configuration) {
    public Lineage {
      Objects.requireNonNull(teacherName, "teacherName");
      configuration = Map.copyOf(configuration);
    }

    SnapshotLineage toRecord() {
      return SnapshotLineage.newBuilder()
          .setTeacherName(teacherName)
          .setTrainedFrom(trainedFrom.orElse(null))
          .setTrainedTo(trainedTo.orElse(null))
          .setConfiguration(new TreeMap<>(configuration))
          .build();
    }
  }
}
