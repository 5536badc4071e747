package io.reflux.trainer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import io.reflux.trainer.gate.GateVerdict.Objection;
import io.reflux.trainer.gate.GateVerdict.Reason;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SnapshotGateTest {
  private static final int ROWS = 8;
  private final SnapshotGate gate = new SnapshotGate(0.01, 20, OptionalDouble.empty());
  private final Traffic traffic = new Traffic(new Random(3));

  /** Sequences that differ much in how hard they are, alike for both students. */
  private static final class Traffic {
    private final Random random;
    private final List<String> segments = new ArrayList<>();
    private final List<Result> candidate = new ArrayList<>();
    private final List<Result> published = new ArrayList<>();

    Traffic(Random random) {
      this.random = random;
    }

    /**
     * @param klChange mean change a row, nats
     * @param noise of the change of a sequence
     * @param agreementsLost rows of 8
     */
    void add(String segment, int count, double klChange, double noise, int agreementsLost) {
      for (int i = 0; i < count; i++) {
        double before = 0.4 * Math.exp(random.nextGaussian());
        double after = before + klChange + noise * random.nextGaussian();
        segments.add(segment);
        published.add(result(before, ROWS - 1));
        candidate.add(result(after, ROWS - 1 - agreementsLost));
      }
    }

    GateVerdict judge(SnapshotGate gate) {
      return gate.judge(segments, candidate, Optional.of(published));
    }
  }

  private static Result result(double kl, long agreements) {
    return new Result(ROWS, kl * ROWS, kl, agreements, 0.9 * ROWS, ROWS);
  }

  @Test
  void aStudentThatIsWorseInOneSegmentAloneIsHeldBack() {
    traffic.add("chat", 200, -0.2, 0.05, 0);
    traffic.add("search", 100, -0.2, 0.05, 0);
    traffic.add("travel", 41, 0.12, 0.1, 0);
    GateVerdict verdict = traffic.judge(gate);
    assertThat(verdict.overall().change().orElseThrow().kl().high()).isNegative();
    assertThat(verdict.objections()).extracting(Objection::reason).containsExactly(Reason.SEGMENT);
    assertThat(verdict.line())
        .matches(
            "segment travel is worse by 0\\.1\\d* nats"
                + " \\(95 % CI 0\\.\\d+ to 0\\.\\d+ over 3 segments, 41 sequences\\)");
    Map<String, Double> figures = verdict.figures();
    assertThat(figures.get("segment.travel.kl_change")).isEqualTo(0.12, within(0.06));
    assertThat(figures.get("segment.travel.kl_change_low")).isPositive();
    assertThat(figures.get("segment.travel.sequences")).isEqualTo(41);
    assertThat(figures.get("kl_change_high")).isNegative();
    assertThat(figures.get("sequences")).isEqualTo(341);
    assertThat(figures)
        .containsKeys("kl", "agreement", "acceptance", "positions", "segment.chat.agreement");
  }

  @Test
  void aSegmentWhoseAnswersFlipIsHeldBackThoughItsKlIsBetter() {
    traffic.add("chat", 400, -0.2, 0.05, -1);
    traffic.add("travel", 40, -0.2, 0.05, 2);
    GateVerdict verdict = traffic.judge(gate);
    assertThat(verdict.objections()).extracting(Objection::reason).containsExactly(Reason.SEGMENT);
    assertThat(verdict.line()).startsWith("agreement of segment travel is worse by 0.25 (");
  }

  @Test
  void aBetterStudentPasses() {
    traffic.add("chat", 40, -0.1, 0.05, 0);
    traffic.add("travel", 25, -0.05, 0.02, 0);
    GateVerdict verdict = traffic.judge(gate);
    assertThat(verdict.isHeldBack()).isFalse();
    assertThat(verdict.line())
        .matches("agreement 0.875, KL 0.\\d+ nats on 65 sequences; KL changed by -0.0\\d+ .*");
  }

  @Test
  void anEqualStudentPassesHoweverLittleIsHeldOut() {
    for (int sequences : new int[] {2, 5, 30, 300}) {
      Traffic equal = new Traffic(new Random(sequences));
      equal.add("default", sequences, 0, 0, 0);
      assertThat(equal.judge(new SnapshotGate(0, 20, OptionalDouble.empty())).isHeldBack())
          .isFalse();
      Traffic near = new Traffic(new Random(sequences));
      // A few steps on: what changes is small beside what makes sequences differ.
      near.add("default", sequences, -1e-3, 2e-4, 0);
      assertThat(near.judge(gate).isHeldBack()).isFalse();
    }
  }

  @Test
  void aStudentThatMayBeWorseIsHeldBack() {
    traffic.add("default", 30, 0, 0.2, 0);
    GateVerdict verdict = traffic.judge(gate);
    assertThat(verdict.objections()).extracting(Objection::reason).containsExactly(Reason.KL);
    assertThat(verdict.line())
        .matches(
            "KL [\\d.]+ against [\\d.]+ may be worse by 0.\\d+ nats"
                + " \\(95 % CI -?0.\\d+ to 0.\\d+, margin 0.0\\d+, 30 sequences\\)");

    Traffic worse = new Traffic(new Random(1));
    worse.add("default", 300, 0.1, 0.05, 1);
    assertThat(worse.judge(gate).objections())
        .extracting(Objection::reason)
        .containsExactly(Reason.SEGMENT, Reason.SEGMENT, Reason.KL, Reason.AGREEMENT);
  }

  @Test
  void tooLittleHeldOutHoldsBackUnlessNothingIsPublished() {
    for (int sequences = 0; sequences < 2; sequences++) {
      Traffic little = new Traffic(new Random(1));
      little.add("default", sequences, -0.3, 0, 0);
      GateVerdict verdict = little.judge(gate);
      assertThat(verdict.objections())
          .extracting(Objection::reason)
          .containsExactly(Reason.TOO_FEW);
      assertThat(verdict.line())
          .isEqualTo(
              "held-out sequences to measure on: %d (expected: 2 or more)".formatted(sequences));
      GateVerdict first = gate.judge(little.segments, little.candidate, Optional.empty());
      assertThat(first.isHeldBack()).isFalse();
      assertThat(first.figures()).doesNotContainKey("kl_change");
    }
  }

  @Test
  void sequencesOfWhichNoRowCountsArePassedOver() {
    traffic.add("default", 30, -0.2, 0.01, 0);
    int before = traffic.judge(gate).overall().sequences();
    for (int i = 0; i < 10; i++) {
      traffic.segments.add("masked");
      traffic.candidate.add(Result.EMPTY);
      traffic.published.add(Result.EMPTY);
    }
    assertThat(traffic.judge(gate).overall().sequences()).isEqualTo(before);
    assertThat(traffic.judge(gate).segments()).containsOnlyKeys("default");
  }

  @Test
  void smallSegmentsAreJudgedAsOneAndFewerThanThatNotAtAll() {
    traffic.add("chat", 400, -0.2, 0.05, 0);
    traffic.add("a", 12, 0.3, 0.05, 0);
    assertThat(traffic.judge(gate).isHeldBack()).isFalse();
    assertThat(traffic.judge(gate).line())
        .endsWith("; 12 sequences of small segments not judged apart");
    traffic.add("b", 10, 0.3, 0.05, 0);
    GateVerdict verdict = traffic.judge(gate);
    assertThat(verdict.segments()).containsOnlyKeys("chat", SnapshotGate.POOL);
    assertThat(verdict.line()).startsWith("segment (small) is worse by 0.3");
  }

  @Test
  void manySegmentsAndLongNamesFillNoManifest() {
    for (int i = 0; i < 60; i++) {
      traffic.add("s" + i, 20 + i, -0.2, 0.05, 0);
    }
    traffic.add("x".repeat(5000), 200, -0.2, 0.05, 0);
    GateVerdict verdict = traffic.judge(gate);
    assertThat(verdict.segments()).hasSize(17).containsKeys("s59", "s44", SnapshotGate.POOL);
    assertThat(verdict.isHeldBack()).isFalse();
    assertThat(verdict.line()).endsWith("; 45 small segments judged as one");
    assertThat(verdict.figures()).hasSizeLessThan(220);
  }

  /** Of forty segments that did not change, one in twenty would be called worse by chance. */
  @Test
  void manySegmentsThatDidNotChangeSeldomHoldBackByChance() {
    int heldBack = 0;
    int trials = 600;
    for (int trial = 0; trial < trials; trial++) {
      Traffic unchanged = new Traffic(new Random(trial));
      for (int segment = 0; segment < 12; segment++) {
        unchanged.add("s" + segment, 25, 0, 0.05, 0);
      }
      boolean segmentWorse =
          unchanged.judge(new SnapshotGate(0, 20, OptionalDouble.empty())).objections().stream()
              .anyMatch(objection -> objection.reason() == Reason.SEGMENT);
      heldBack += segmentWorse ? 1 : 0;
    }
    // 5 % two-sided, half of it on the worse side; agreement, the other half of the family, is
    // the same throughout here. Two standard errors of chance on top.
    assertThat((double) heldBack / trials).isLessThan(0.025 + 0.013);
  }

  @Test
  void anEstimateBelowZeroAsksForNoMoreThanOneAboveIt() {
    SnapshotGate tenth = new SnapshotGate(0.1, 20, OptionalDouble.empty());
    assertThat(tenth.judge(segments(), results(-0.02), published(-0.02)).isHeldBack()).isFalse();
    assertThat(tenth.judge(segments(), results(-0.0185), published(-0.02)).isHeldBack()).isFalse();
    assertThat(tenth.judge(segments(), results(-0.015), published(-0.02)).isHeldBack()).isTrue();
  }

  private static List<String> segments() {
    return List.of("a", "a", "a");
  }

  private static List<Result> results(double kl) {
    return List.of(result(kl, 7), result(kl, 7), result(kl, 7));
  }

  private static Optional<List<Result>> published(double kl) {
    return Optional.of(results(kl));
  }

  @Test
  void lessAgreementThanWantedHoldsBackHoweverMuchBetter() {
    traffic.add("default", 100, -0.3, 0.05, 0);
    SnapshotGate strict = new SnapshotGate(0.01, 20, OptionalDouble.of(0.9));
    assertThat(traffic.judge(strict).line())
        .isEqualTo(
            "agreement 0.875 (95 % CI 0.875 to 0.875, 100 sequences; expected: 0.9 or more)");
    assertThat(traffic.judge(new SnapshotGate(0.01, 20, OptionalDouble.of(0.8))).isHeldBack())
        .isFalse();
    assertThat(strict.judge(traffic.segments, traffic.candidate, Optional.empty()).isHeldBack())
        .isFalse();
  }

  @Test
  void aStudentThatIsNoNumberIsHeldBack() {
    assertThat(gate.judge(segments(), results(Double.NaN), published(0.4)).isHeldBack()).isTrue();
  }
}
