package io.reflux.trainer;

import io.reflux.trainer.LabelledSequence.Written;
import java.util.Optional;

/** Sequences for tests of what holds them, and others with a part changed. */
final class Sequences {
  private Sequences() {}

  /** One that nothing can be learned from. */
  static LabelledSequence of(String requestId, String segment, long eventMillis, int rows) {
    return new LabelledSequence(
        requestId,
        segment,
        eventMillis,
        1,
        new int[2 + rows],
        2,
        5,
        1,
        new byte[0],
        new byte[rows],
        new int[0],
        Optional.empty());
  }

  static LabelledSequence in(String segment, long eventMillis, LabelledSequence of) {
    return new LabelledSequence(
        of.requestId(),
        segment,
        eventMillis,
        of.weight(),
        of.tokenIds(),
        of.promptLength(),
        of.vocabularySize(),
        of.labelTemperature(),
        of.lossMask(),
        of.labels(),
        of.supportIds(),
        of.written());
  }

  static LabelledSequence written(LabelledSequence of, Written how) {
    return new LabelledSequence(
        of.requestId(),
        of.segment(),
        of.eventMillis(),
        of.weight(),
        of.tokenIds(),
        of.promptLength(),
        of.vocabularySize(),
        of.labelTemperature(),
        of.lossMask(),
        of.labels(),
        of.supportIds(),
        Optional.of(how));
  }

  static LabelledSequence labelled(LabelledSequence of, byte[] labels, int[] supportIds) {
    return new LabelledSequence(
        of.requestId(),
        of.segment(),
        of.eventMillis(),
        of.weight(),
        of.tokenIds(),
        of.promptLength(),
        of.vocabularySize(),
        of.labelTemperature(),
        of.lossMask(),
        labels,
        supportIds,
        of.written());
  }
}
