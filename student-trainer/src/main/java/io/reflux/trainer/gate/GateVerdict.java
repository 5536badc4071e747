package io.reflux.trainer.gate;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;

/**
 * What the gate says of a candidate.
 *
 * @param objections why it should not be published; none lets it pass
 * @param overall on all held-out sequences, with intervals of 95 % each
 * @param segments on those that were judged apart, and {@link SnapshotGate#POOL}, with intervals
 *     that hold together with 95 %
 * @param smallSegments that were pooled
 * @param unjudged sequences of segments that even together were too few to be judged apart
 */
public record GateVerdict(
    List<Objection> objections,
    Comparison overall,
    SortedMap<String, Comparison> segments,
    int smallSegments,
    int unjudged) {

  /** What an objection rests on. */
  public enum Reason {
    /** Held-out traffic is too little for an interval. */
    TOO_FEW,
    /** A segment is worse. */
    SEGMENT,
    /** The KL may be worse. */
    KL,
    /** The agreement may be worse. */
    AGREEMENT,
    /** The agreement may be below the least that is wanted. */
    MINIMUM_AGREEMENT
  }

  /**
   * Why not.
   *
   * @param text with figures, on one line
   */
  public record Objection(Reason reason, String text) {}

  /** Whether it should not be published. */
  public boolean isHeldBack() {
    return !objections.isEmpty();
  }

  /** In one line, with figures: the first objections, or else how it compares. */
  public String line() {
    return isHeldBack() ? Wording.heldBack(objections) : Wording.passed(this);
  }

  /**
   * As a manifest carries it: {@code positions}, {@code sequences}, {@code agreement}, {@code kl},
   * {@code acceptance} of the candidate; {@code kl_change} and {@code agreement_change} from the
   * published one, each with {@code _low} and {@code _high} of its interval; the same of a segment
   * as {@code segment.NAME.kl} and so on. What is not known is left out.
   */
  public Map<String, Double> figures() {
    Map<String, Double> figures = new HashMap<>(overall.figures());
    segments.forEach(
        (name, comparison) ->
            comparison
                .figures()
                .forEach((key, value) -> figures.put("segment." + name + "." + key, value)));
    return figures;
  }
}
