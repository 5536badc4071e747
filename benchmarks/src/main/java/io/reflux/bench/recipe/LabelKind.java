package io.reflux.bench.recipe;

import io.reflux.model.divergence.Draws;
import io.reflux.model.runtime.Scores;
import io.reflux.model.runtime.SupportTail;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.trainer.nn.NamedTargets;
import java.util.Arrays;

/**
 * What of a teacher's distribution a student is shown.
 *
 * @param size ids or draws a row
 */
public record LabelKind(Way way, int size) {
  /** Ids a row where nothing is to be lost. */
  public static final int WIDE = 50;

  /** How it is cut. */
  public enum Way {
    /** Likeliest ids with their true probabilities, and the mass of all others. */
    TOPK,
    /** Likeliest ids, their probabilities scaled up to sum to one: what trainers commonly do. */
    RENORMALISED,
    /** Draws with replacement. */
    SAMPLED,
    /** Everything, which no label on the wire does. */
    FULL
  }

  static LabelKind topK(int k) {
    return new LabelKind(Way.TOPK, k);
  }

  /** What the scorer must find for it. */
  int scoredIds() {
    return way == Way.TOPK || way == Way.RENORMALISED ? size : 1;
  }

  /** What the scorer must draw for it. */
  int draws() {
    return way == Way.SAMPLED ? size : 0;
  }

  /** Labels of the likeliest ids as they go over the wire. */
  public static byte[] encodedTopK(Scores scores, int vocabularySize) {
    return SoftLabelCodec.encode(topK(scores), vocabularySize);
  }

  /** What a trainer that reads these labels off the wire would compare with. */
  NamedTargets targets(Scores scores, int vocabularySize) {
    return switch (way) {
      case TOPK -> named(throughCodec(topK(scores), vocabularySize));
      case RENORMALISED -> renormalised(throughCodec(topK(scores), vocabularySize));
      case SAMPLED -> drawn(throughCodec(sampled(scores), vocabularySize));
      case FULL -> throw new IllegalArgumentException("labels of everything are not scored");
    };
  }

  /**
   * What a trainer compares with that reads labels of ids which the student named.
   *
   * @param ids [rows, k]
   */
  static NamedTargets ofSupport(Scores scores, int[] ids, int k, int vocabularySize) {
    SupportBlock block =
        (SupportBlock)
            throughCodec(
                new SupportBlock(
                    scores.rows(),
                    k,
                    SupportBlock.checksum(ids),
                    scores.supportLogprobs(),
                    SupportTail.of(scores, ids, k),
                    scores.tokenLogprobs(),
                    scores.entropy()),
                vocabularySize);
    return new NamedTargets(
        k, ids, block.logprobs(), block.tailLogMass(), null, 1, block.tokenLogprobs(), 0);
  }

  @Override
  public String toString() {
    return switch (way) {
      case TOPK -> "top-" + size;
      case RENORMALISED -> "top-" + size + ", renormalised";
      case SAMPLED -> size + " draws";
      case FULL -> "everything";
    };
  }

  private static TopKBlock topK(Scores scores) {
    return new TopKBlock(
        scores.rows(),
        scores.k(),
        scores.topIds(),
        scores.topLogprobs(),
        scores.tailLogMass(),
        scores.tokenLogprobs(),
        scores.entropy());
  }

  private static SampledBlock sampled(Scores scores) {
    return SampledBlock.of(
        scores.rows(), scores.draws(), scores.drawnIds(), scores.tokenLogprobs(), scores.entropy());
  }

  private static LabelBlock throughCodec(LabelBlock block, int vocabularySize) {
    try {
      return SoftLabelCodec.decode(SoftLabelCodec.encode(block, vocabularySize), vocabularySize);
    } catch (SoftLabelFormatException e) {
      throw new IllegalStateException("labels that were just written cannot be read", e);
    }
  }

  private static NamedTargets named(LabelBlock block) {
    TopKBlock top = (TopKBlock) block;
    return new NamedTargets(
        top.k(), top.ids(), top.logprobs(), top.tailLogMass(), null, 1, top.tokenLogprobs(), 0);
  }

  private static NamedTargets renormalised(LabelBlock block) {
    TopKBlock top = (TopKBlock) block;
    float[] logprobs = top.logprobs().clone();
    for (int row = 0; row < top.rows(); row++) {
      double mass = 0;
      for (int i = row * top.k(); i < (row + 1) * top.k(); i++) {
        mass += Math.exp(logprobs[i]);
      }
      for (int i = row * top.k(); i < (row + 1) * top.k(); i++) {
        logprobs[i] -= (float) Math.log(mass);
      }
    }
    return new NamedTargets(top.k(), top.ids(), logprobs, noTail(top.rows()));
  }

  private static NamedTargets drawn(LabelBlock block) {
    SampledBlock s = (SampledBlock) block;
    Draws draws = new Draws(s.rows(), s.draws(), s.starts(), s.ids(), s.counts(), s.entropy());
    return new NamedTargets(
        draws.supportSize(),
        draws.supportIds(),
        draws.logShares(),
        noTail(s.rows()),
        draws.klOffsets(),
        1,
        s.tokenLogprobs(),
        draws.draws());
  }

  private static float[] noTail(int rows) {
    float[] none = new float[rows];
    Arrays.fill(none, Float.NEGATIVE_INFINITY);
    return none;
  }
}
