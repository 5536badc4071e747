package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.trainer.LabelledSequence.Written;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Turns records into sequences to train on, and refuses what another teacher, tokenizer or template
 * made: such a label would train the wrong tokens without a word.
 */
final class LabelIntake {
  /**
   * Weight of a request at most: one that was very unlikely to be mirrored must not rule a batch.
   */
  private static final double MAX_WEIGHT = 10;

  private static final float MOST_LOGPROB = 1e-3f;

  private final String teacherFingerprint;
  private final String tokenizerFingerprint;
  private final String chatTemplateFingerprint;
  private final int vocabularySize;
  private final int maxPositions;

  /**
   * @param maxPositions of the student
   */
  LabelIntake(LanguageModel teacher, int maxPositions) {
    this.teacherFingerprint = teacher.fingerprint();
    this.tokenizerFingerprint = teacher.tokenizerFingerprint();
    this.chatTemplateFingerprint = teacher.chatTemplateFingerprint();
    this.vocabularySize = teacher.config().vocabularySize();
    this.maxPositions = maxPositions;
  }

  String teacherFingerprint() {
    return teacherFingerprint;
  }

  /** Why a record must not be trained on; empty if it may. */
  Optional<Refusal> refusal(SoftLabels labels) {
    if (!labels.getTokenizerFingerprint().equals(tokenizerFingerprint)) {
      return mismatch("tokenizer", labels.getTokenizerFingerprint(), tokenizerFingerprint);
    }
    if (!labels.getTeacherFingerprint().equals(teacherFingerprint)) {
      return mismatch("teacher", labels.getTeacherFingerprint(), teacherFingerprint);
    }
    if (!labels.getChatTemplateFingerprint().equals(chatTemplateFingerprint)) {
      return mismatch(
          "chat_template", labels.getChatTemplateFingerprint(), chatTemplateFingerprint);
    }
    if (labels.getVocabularySize() != vocabularySize) {
      return mismatch(
          "vocabulary",
          Integer.toString(labels.getVocabularySize()),
          Integer.toString(vocabularySize));
    }
    // Whatever is trained on must be measurable: the graph scores held-out labels at it.
    if (!ScoreRequest.isTemperature(labels.getTemperature())) {
      return refusal(
          "bad_temperature",
          "temperature: %s (expected: 0.01 to 100)".formatted(labels.getTemperature()));
    }
    boolean rollout = labels.getOrigin() == Origin.ROLLOUT;
    if (rollout && labels.getStudentVersion() == null) {
      return refusal("student_version_missing", "student_version: null (expected: of a rollout)");
    }
    Optional<Refusal> sampled = badSampledLogprobs(labels);
    if (sampled.isPresent()) {
      return sampled;
    }
    return malformed(labels);
  }

  private Optional<Refusal> malformed(SoftLabels labels) {
    int tokens = labels.getTokenIds().size();
    if (tokens > maxPositions) {
      return refusal(
          "too_long", "token_ids: %d (expected: at most %d)".formatted(tokens, maxPositions));
    }
    int prompt = labels.getPromptLength();
    if (prompt < 1 || prompt > tokens) {
      return refusal(
          "bad_prompt_length",
          "prompt_length: %d (expected: 1 to %d tokens)".formatted(prompt, tokens));
    }
    for (int id : labels.getTokenIds()) {
      if (id < 0 || id >= vocabularySize) {
        return refusal(
            "bad_token_id", "token id: %d (expected: 0 to %d)".formatted(id, vocabularySize - 1));
      }
    }
    double probability = labels.getSamplingProbability();
    if (!(probability > 0 && probability <= 1)) {
      return refusal(
          "bad_sampling_probability",
          "sampling_probability: %s (expected: above 0, to 1)".formatted(probability));
    }
    int rows = tokens - prompt;
    ByteBuffer mask = labels.getLossMask();
    if (mask != null && mask.remaining() != (rows + 7) / 8) {
      return refusal(
          "bad_loss_mask",
          "loss_mask: %d bytes (expected: %d rows)".formatted(mask.remaining(), rows));
    }
    try {
      LabelBlock block = SoftLabelCodec.decode(bytes(labels.getLabels()), vocabularySize);
      if (block.rows() != rows) {
        return refusal(
            "bad_labels", "labels: %d rows (expected: %d)".formatted(block.rows(), rows));
      }
      return unusable(block, labels);
    } catch (SoftLabelFormatException e) {
      return refusal("bad_labels", e.getMessage());
    }
  }

  private static Optional<Refusal> badSampledLogprobs(SoftLabels labels) {
    List<Float> logprobs = labels.getSampledLogprobs();
    if (logprobs.isEmpty()) {
      return Optional.empty();
    }
    int rows = labels.getTokenIds().size() - labels.getPromptLength();
    if (logprobs.size() != rows) {
      return refusal(
          "bad_sampled_logprobs",
          "sampled_logprobs: %d (expected: %d rows)".formatted(logprobs.size(), rows));
    }
    for (float logprob : logprobs) {
      // A sum of rounded parts may be a little above 1.
      if (!(logprob > Float.NEGATIVE_INFINITY && logprob < MOST_LOGPROB)) {
        return refusal(
            "bad_sampled_logprobs",
            "sampled_logprobs: %s (expected: logs of probabilities)".formatted(logprob));
      }
    }
    float temperature = labels.getSamplingTemperature();
    if (!(temperature > 0 && temperature < Float.POSITIVE_INFINITY)) {
      return refusal(
          "bad_sampling_temperature",
          "sampling_temperature: %s (expected: above 0, that of sampled_logprobs)"
              .formatted(temperature));
    }
    return Optional.empty();
  }

  /** Labels that are sound, and yet do not belong to the record, or say too little here. */
  private Optional<Refusal> unusable(LabelBlock block, SoftLabels labels)
      throws SoftLabelFormatException {
    if (block instanceof SupportBlock support) {
      int[] ids = supportIds(labels);
      if (ids.length == 0 && block.rows() > 0) {
        return refusal(
            "support_missing",
            "support_ids: none (expected: the %d a row that the labels are of)"
                .formatted(support.k()));
      }
      support.requireSupport(ids);
      return badSupport(ids, support.k());
    }
    if (block instanceof SampledBlock sampled) {
      for (int row = 0; row < sampled.rows(); row++) {
        if (Float.isNaN(sampled.entropy()[row])) {
          return refusal(
              "entropy_unknown",
              "labels, row %d: draws without the teacher's entropy (expected: with it, as a KL from draws needs it)"
                  .formatted(row));
        }
      }
    }
    return Optional.empty();
  }

  private Optional<Refusal> badSupport(int[] ids, int size) {
    int[] sorted = new int[size];
    for (int from = 0; from < ids.length; from += size) {
      System.arraycopy(ids, from, sorted, 0, size);
      Arrays.sort(sorted);
      for (int i = 0; i < size; i++) {
        boolean outside = sorted[i] < 0 || sorted[i] >= vocabularySize;
        if (outside || (i > 0 && sorted[i] == sorted[i - 1])) {
          return refusal(
              "bad_support",
              "support_ids, row %d: %d (expected: 0 to %d, each once)"
                  .formatted(from / size, sorted[i], vocabularySize - 1));
        }
      }
    }
    return Optional.empty();
  }

  private static int[] supportIds(SoftLabels labels) {
    return labels.getSupportIds().stream().mapToInt(Integer::intValue).toArray();
  }

  /** A record that is not refused, as a sequence. */
  LabelledSequence accept(SoftLabels labels) {
    double weight = Math.min(MAX_WEIGHT, 1 / labels.getSamplingProbability());
    boolean rollout = labels.getOrigin() == Origin.ROLLOUT;
    return new LabelledSequence(
        labels.getRequestId(),
        labels.getSegment(),
        labels.getRequestedAt().toEpochMilli(),
        (float) weight,
        labels.getTokenIds().stream().mapToInt(Integer::intValue).toArray(),
        labels.getPromptLength(),
        vocabularySize,
        labels.getTemperature(),
        labels.getLossMask() == null ? new byte[0] : bytes(labels.getLossMask()),
        bytes(labels.getLabels()),
        supportIds(labels),
        rollout ? Optional.of(written(labels)) : Optional.empty());
  }

  private static Written written(SoftLabels labels) {
    float[] logprobs = new float[labels.getSampledLogprobs().size()];
    for (int row = 0; row < logprobs.length; row++) {
      logprobs[row] = labels.getSampledLogprobs().get(row);
    }
    return new Written(
        labels.getStudentVersion(),
        logprobs.length == 0 ? 1 : labels.getSamplingTemperature(),
        logprobs);
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }

  private static Optional<Refusal> mismatch(String what, String found, String expected) {
    return refusal(what + "_mismatch", "%s: %s (expected: %s)".formatted(what, found, expected));
  }

  private static Optional<Refusal> refusal(String reason, String message) {
    return Optional.of(new Refusal(reason, message));
  }
}
