package io.reflux.trainer.gate;

import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import io.reflux.trainer.gate.Comparison.Change;
import io.reflux.trainer.gate.GateVerdict.Objection;
import io.reflux.trainer.gate.GateVerdict.Reason;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Judges whether a candidate may replace what is published, on held-out sequences that both were
 * measured on.
 *
 * <p>Overall it must be shown not to be worse: the interval of the change must lie within the
 * margin, in KL and in agreement (a test of non-inferiority; both must pass, so neither needs a
 * correction). A segment, on which there is less to go by, holds it back only if it is shown to be
 * worse: the interval of the change lies outside the margin. The intervals of segments are widened
 * so that all hold together (Bonferroni; Holm's procedure rejects something exactly when
 * Bonferroni's does, and here one rejection decides). Thread-safe.
 */
public final class SnapshotGate {
  /** Stands for all segments that are too small to be judged apart. */
  public static final String POOL = "(small)";

  /** Below this there is no interval. */
  private static final int FEWEST_SEQUENCES = 2;

  /** Largest segments that are judged apart: more would widen all intervals, and fill manifests. */
  private static final int MOST_SEGMENTS = 16;

  /** A longer name is pooled: what a client may call itself must not fill manifests. */
  private static final int LONGEST_NAME = 100;

  private final double tolerance;
  private final int segmentMinimum;
  private final OptionalDouble minimumAgreement;

  /**
   * @param tolerance margin, relative in KL and absolute in agreement
   * @param segmentMinimum sequences from which on a segment is judged apart, 2 or more
   * @param minimumAgreement least share of rows with the teacher's likeliest token
   */
  public SnapshotGate(double tolerance, int segmentMinimum, OptionalDouble minimumAgreement) {
    this.tolerance = tolerance;
    this.segmentMinimum = segmentMinimum;
    this.minimumAgreement = minimumAgreement;
  }

  /**
   * Judges a candidate. Sequences without rows that count are passed over. If nothing is published
   * there is no objection: serving must have something.
   *
   * @param segments [sequences]
   * @param candidate [sequences], what it came to
   * @param published [sequences], what the published one came to on the same rows; empty if nothing
   *     is
   */
  public GateVerdict judge(
      List<String> segments, List<Result> candidate, Optional<List<Result>> published) {
    int[] counted =
        IntStream.range(0, candidate.size()).filter(i -> candidate.get(i).rows() > 0).toArray();
    Comparison overall =
        compare(IntStream.of(counted).boxed().toList(), candidate, published, Interval.CONFIDENCE);
    Groups groups = groups(segments, counted);
    // KL and agreement of each segment.
    int family = Math.max(1, 2 * groups.judged().size());
    double confidence = 1 - (1 - Interval.CONFIDENCE) / family;
    SortedMap<String, Comparison> compared = new TreeMap<>();
    groups
        .judged()
        .forEach(
            (name, indices) ->
                compared.put(name, compare(indices, candidate, published, confidence)));
    List<Objection> objections = new ArrayList<>();
    if (overall.sequences() < FEWEST_SEQUENCES) {
      objections.add(
          new Objection(
              Reason.TOO_FEW,
              "held-out sequences to measure on: %d (expected: %d or more)"
                  .formatted(overall.sequences(), FEWEST_SEQUENCES)));
    } else {
      compared.forEach((name, segment) -> judge(name, segment, compared.size(), objections));
      overall.change().ifPresent(change -> judge(overall, change, objections));
      requireMinimum(counted, candidate, objections);
    }
    return new GateVerdict(
        published.isEmpty() ? List.of() : List.copyOf(objections),
        overall,
        compared,
        groups.small(),
        groups.unjudged());
  }

  private static Comparison compare(
      List<Integer> indices,
      List<Result> candidate,
      Optional<List<Result>> published,
      double confidence) {
    return Comparison.of(
        indices.stream().map(candidate::get).toList(),
        published.map(all -> indices.stream().map(all::get).toList()),
        confidence);
  }

  /** Also not a number is no proof of being as good. */
  private void judge(Comparison overall, Change change, List<Objection> objections) {
    double margin = margin(change);
    if (!(change.kl().high() <= margin)) {
      String what = Wording.from("KL", overall.quality().kl(), change.published().kl());
      objections.add(
          new Objection(
              Reason.KL,
              Wording.worse(what, change.kl(), " nats", margin, 1, overall.sequences())));
    }
    Interval loss = change.agreement().negated();
    if (!(loss.high() <= tolerance)) {
      String what =
          Wording.from("agreement", overall.quality().agreement(), change.published().agreement());
      objections.add(
          new Objection(
              Reason.AGREEMENT, Wording.worse(what, loss, "", tolerance, 1, overall.sequences())));
    }
  }

  private void judge(String name, Comparison segment, int together, List<Objection> objections) {
    if (segment.change().isEmpty()) {
      return;
    }
    Change change = segment.change().get();
    double margin = margin(change);
    if (change.kl().low() > margin) {
      objections.add(
          new Objection(
              Reason.SEGMENT,
              Wording.worse(
                  "segment " + name, change.kl(), " nats", 0, together, segment.sequences())));
    }
    Interval loss = change.agreement().negated();
    if (loss.low() > tolerance) {
      objections.add(
          new Objection(
              Reason.SEGMENT,
              Wording.worse(
                  "agreement of segment " + name, loss, "", 0, together, segment.sequences())));
    }
  }

  /** Of an estimate below 0, as draws may give, a share would ask for more, not for less. */
  private double margin(Change change) {
    return tolerance * Math.abs(change.published().kl());
  }

  private void requireMinimum(int[] counted, List<Result> candidate, List<Objection> objections) {
    if (minimumAgreement.isEmpty()) {
      return;
    }
    Interval agreement =
        Interval.ofRatio(
            IntStream.of(counted).mapToDouble(i -> candidate.get(i).agreements()).toArray(),
            IntStream.of(counted).mapToLong(i -> candidate.get(i).rows()).toArray(),
            Interval.CONFIDENCE);
    if (!(agreement.low() >= minimumAgreement.getAsDouble())) {
      objections.add(
          new Objection(
              Reason.MINIMUM_AGREEMENT,
              "agreement %s (95 %% CI %s to %s, %d sequences; expected: %s or more)"
                  .formatted(
                      Wording.number(agreement.estimate()),
                      Wording.number(agreement.low()),
                      Wording.number(agreement.high()),
                      counted.length,
                      Wording.number(minimumAgreement.getAsDouble()))));
    }
  }

  /**
   * Sequences by what they are judged as.
   *
   * @param small segments that went into the pool, or would have
   * @param unjudged sequences of theirs, where they are too few for the pool too
   */
  private record Groups(Map<String, List<Integer>> judged, int small, int unjudged) {}

  private Groups groups(List<String> segments, int[] counted) {
    Map<String, List<Integer>> all =
        IntStream.of(counted).boxed().collect(Collectors.groupingBy(segments::get));
    List<String> largest =
        all.keySet().stream()
            .filter(name -> all.get(name).size() >= segmentMinimum && name.length() <= LONGEST_NAME)
            .sorted(
                Comparator.comparing((String name) -> -all.get(name).size())
                    .thenComparing(Comparator.naturalOrder()))
            .limit(MOST_SEGMENTS)
            .toList();
    Map<String, List<Integer>> judged = new TreeMap<>();
    largest.forEach(name -> judged.put(name, all.get(name)));
    List<Integer> rest =
        all.keySet().stream()
            .filter(name -> !judged.containsKey(name))
            .flatMap(name -> all.get(name).stream())
            .sorted()
            .toList();
    boolean pooled = rest.size() >= segmentMinimum;
    int small = all.size() - judged.size();
    if (pooled) {
      judged.put(POOL, rest);
    }
    return new Groups(judged, small, pooled ? 0 : rest.size());
  }
}
