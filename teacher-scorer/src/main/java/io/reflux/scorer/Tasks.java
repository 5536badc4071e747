package io.reflux.scorer;

import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.ScorerOptions;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.schemas.service.RefluxException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Says how each sequence is labelled, by the settings and by what its record carries. */
final class Tasks {
  private static final String DRAWS = "draws";

  private final LabelEncoding ofRequests;
  private final LabelEncoding ofRollouts;
  private final int draws;
  private final float temperature;
  private final int vocabularySize;

  /**
   * Reads the settings.
   *
   * @throws RefluxException if one is unknown or does not fit
   */
  Tasks(ScorerConfig settings, int vocabularySize) {
    this.vocabularySize = vocabularySize;
    this.ofRequests =
        encoding(
            "encoding", settings.encoding(), List.of(LabelEncoding.TOPK, LabelEncoding.SAMPLED));
    this.ofRollouts =
        encoding(
            "rollout-encoding",
            settings.rolloutEncoding(),
            List.of(LabelEncoding.SUPPORT, LabelEncoding.TOPK, LabelEncoding.SAMPLED));
    if (settings.draws() < 1 || settings.draws() > ScorerOptions.MOST_DRAWS) {
      throw new RefluxException(
          "reflux.score.draws: %d (expected: 1 to %d)"
              .formatted(settings.draws(), ScorerOptions.MOST_DRAWS));
    }
    this.draws = settings.draws();
    if (!ScoreRequest.isTemperature(settings.labelTemperature())) {
      throw new RefluxException(
          "reflux.score.label-temperature: %s (expected: %s to %s)"
              .formatted(
                  settings.labelTemperature(),
                  1 / ScoreRequest.MOST_TEMPERATURE,
                  ScoreRequest.MOST_TEMPERATURE));
    }
    this.temperature = (float) settings.labelTemperature();
  }

  private static LabelEncoding encoding(String key, String value, List<LabelEncoding> allowed) {
    return allowed.stream()
        .filter(encoding -> name(encoding).equals(value.strip().toLowerCase(Locale.ROOT)))
        .findFirst()
        .orElseThrow(
            () ->
                new RefluxException(
                    "reflux.score."
                        + key
                        + ": "
                        + value
                        + " (expected: "
                        + allowed.stream().map(Tasks::name).collect(Collectors.joining(" or "))
                        + ")"));
  }

  private static String name(LabelEncoding encoding) {
    return encoding.name().toLowerCase(Locale.ROOT);
  }

  /** Ids that the teacher is to draw a position; 0 when no labels are sampled. */
  int draws() {
    boolean sampled = ofRequests == LabelEncoding.SAMPLED || ofRollouts == LabelEncoding.SAMPLED;
    return sampled ? draws : 0;
  }

  /** For the sequence of a request. */
  LabelTask task(MirroredRequest request, Sequence sequence) {
    return LabelTask.of(sequence, ofRequests, Seeds.of(DRAWS, request.getRequestId()), temperature);
  }

  /**
   * For the sequence of a rollout.
   *
   * @throws RejectedException if its support ids are not what they should be
   */
  LabelTask task(Rollout rollout, Sequence sequence) throws RejectedException {
    long seed = Seeds.of(DRAWS, rollout.getRolloutId());
    if (ofRollouts != LabelEncoding.SUPPORT) {
      return LabelTask.of(sequence, ofRollouts, seed, temperature);
    }
    if (rollout.getSupportSize() == 0 && rollout.getSupportIds().isEmpty()) {
      return LabelTask.of(sequence, ofRequests, seed, temperature);
    }
    int[] ids = requireSupport(rollout);
    // Where the sequence was cut, so are they.
    int kept = sequence.rows() * rollout.getSupportSize();
    return new LabelTask(
        sequence,
        LabelEncoding.SUPPORT,
        kept == ids.length ? ids : Arrays.copyOf(ids, kept),
        rollout.getSupportSize(),
        seed,
        temperature);
  }

  private int[] requireSupport(Rollout rollout) throws RejectedException {
    int size = rollout.getSupportSize();
    if (size < 1 || size > vocabularySize) {
      throw badSupport("support_size: " + size + " (expected: 1 to " + vocabularySize + ")");
    }
    int rows = rollout.getTokenIds().size() - rollout.getPromptLength();
    int[] ids = rollout.getSupportIds().stream().mapToInt(Integer::intValue).toArray();
    if (ids.length != (long) rows * size) {
      throw badSupport(
          "support_ids: "
              + ids.length
              + " (expected: "
              + (long) rows * size
              + ", "
              + size
              + " for each of "
              + rows
              + " response tokens)");
    }
    int[] sorted = new int[size];
    for (int row = 0; row < rows; row++) {
      System.arraycopy(ids, row * size, sorted, 0, size);
      Arrays.sort(sorted);
      requireIds(row, sorted);
    }
    return ids;
  }

  private void requireIds(int row, int[] sorted) throws RejectedException {
    int last = sorted.length - 1;
    if (sorted[0] < 0 || sorted[last] >= vocabularySize) {
      throw badSupport(
          "support_ids, row "
              + row
              + ": "
              + (sorted[0] < 0 ? sorted[0] : sorted[last])
              + " (expected: 0 to "
              + (vocabularySize - 1)
              + ")");
    }
    for (int i = 1; i <= last; i++) {
      if (sorted[i] == sorted[i - 1]) {
        throw badSupport(
            "support_ids, row " + row + ": " + sorted[i] + " twice (expected: each id once)");
      }
    }
  }

  private static RejectedException badSupport(String message) {
    return new RejectedException("bad_support", message);
  }
}
