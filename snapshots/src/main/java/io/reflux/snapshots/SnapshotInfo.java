package io.reflux.snapshots;

import java.util.Map;
import java.util.Objects;

/**
 * What a publisher knows of a student beside its files. Fingerprints are SHA-256 in lower-case hex.
 *
 * @param studentName name of the student's line of snapshots
 * @param quantisation how the weights are stored: none, int8
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
    String codeVersion) {

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
  }
}
