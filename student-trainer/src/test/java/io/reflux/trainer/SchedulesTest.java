package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** What follows steps and losses: learning rate, drift, bounds, student versions. */
class SchedulesTest {
  private static final Offset<Double> EXACTLY = Offset.offset(1e-12);

  @Test
  void theLearningRateRisesSettlesAndStays() {
    LearningRatePolicy policy = new LearningRatePolicy(0.8, 4, 10, 0.5);
    assertThat(policy.at(0)).isEqualTo(0.2, EXACTLY);
    assertThat(policy.at(3)).isEqualTo(0.8, EXACTLY);
    assertThat(policy.at(4)).isEqualTo(0.8, EXACTLY);
    assertThat(policy.at(9)).isEqualTo(0.6, EXACTLY);
    assertThat(policy.at(14)).isEqualTo(0.4, EXACTLY);
    assertThat(policy.at(1_000_000)).isEqualTo(0.4, EXACTLY);
  }

  @Test
  void aDriftBringsTheLearningRateBackToItsPeak() {
    LearningRatePolicy policy = new LearningRatePolicy(0.8, 4, 10, 0.5);
    policy.rewarm(1000);
    assertThat(policy.at(1000)).isEqualTo(0.5, EXACTLY);
    assertThat(policy.at(1003)).isEqualTo(0.8, EXACTLY);
    assertThat(policy.at(1014)).isEqualTo(0.4, EXACTLY);
  }

  @Test
  void weightsThatWentBackStartTheLearningRateOver() {
    LearningRatePolicy policy = new LearningRatePolicy(0.8, 4, 10, 1);
    policy.startOver(1000);
    assertThat(policy.at(1000)).isEqualTo(0.2, EXACTLY);
    assertThat(policy.at(1003)).isEqualTo(0.8, EXACTLY);
    assertThat(policy.at(2000)).isEqualTo(0.8, EXACTLY);
  }

  @Test
  void withoutWarmUpTheLearningRateIsThereAtOnce() {
    assertThat(new LearningRatePolicy(0.8, 0, 0, 1).at(0)).isEqualTo(0.8, EXACTLY);
  }

  @Test
  void aFallingLossIsNoDriftAndARisenOneIs() {
    DriftDetector detector = new DriftDetector(10);
    Random random = new Random(1);
    for (int i = 0; i < 2000; i++) {
      double usual = 0.3 + 3 * Math.exp(-i / 100.0);
      assertThat(detector.observe(usual + 0.02 * random.nextGaussian(), 500)).isFalse();
    }
    int steps = 1;
    while (!detector.observe(0.36 + 0.02 * random.nextGaussian(), 500)) {
      steps++;
    }
    // Three deviations up, half of one is slack: four steps or so a ten.
    assertThat(steps).isBetween(3, 12);
    // That is the usual loss from now on.
    for (int i = 0; i < 500; i++) {
      assertThat(detector.observe(0.36 + 0.02 * random.nextGaussian(), 500)).isFalse();
    }
  }

  @Test
  void falseAlarmsAreAsRareAsSaid() {
    // At 4 the formula says 2·(e^5.166 − 6.166), 338 steps.
    DriftDetector detector = new DriftDetector(4);
    Random random = new Random(2);
    int alarms = 0;
    for (int i = 0; i < 100_000; i++) {
      alarms += detector.observe(1 + 0.1 * random.nextGaussian(), 500) ? 1 : 0;
    }
    // Mean and spread are estimates and each alarm costs 30 steps of learning them anew.
    assertThat(100_000.0 / alarms).isBetween(200.0, 500.0);
  }

  @Test
  void fewRowsTellLessOfADrift() {
    DriftDetector many = new DriftDetector(10);
    DriftDetector few = new DriftDetector(10);
    Random random = new Random(4);
    for (int i = 0; i < 500; i++) {
      double loss = 0.3 + 0.02 * random.nextGaussian();
      many.observe(loss, 500);
      few.observe(loss, 500);
    }
    int ofMany = 1;
    while (!many.observe(0.36, 500)) {
      ofMany++;
    }
    int ofFew = 1;
    while (!few.observe(0.36, 50) && ofFew < 1000) {
      ofFew++;
    }
    assertThat(ofFew).isGreaterThan(3 * ofMany);
  }

  @Test
  void oneOutlierIsNoDrift() {
    DriftDetector detector = new DriftDetector(10);
    Random random = new Random(3);
    for (int i = 0; i < 2000; i++) {
      double loss = i % 50 == 49 ? 1000 : 0.3 + 0.02 * random.nextGaussian();
      assertThat(detector.observe(loss, 500)).isFalse();
    }
  }

  @Test
  void aThresholdOfZeroDetectsAndBoundsNothing() {
    DriftDetector detector = new DriftDetector(0);
    LossGuard guard = LossGuard.ofLosses(0);
    for (int i = 0; i < 200; i++) {
      assertThat(detector.observe(i < 100 ? 0 : 1e9, 500)).isFalse();
      guard.observe(0.3, 500);
    }
    assertThat(guard.bound()).isInfinite();
  }

  @Test
  void theBoundIsMedianPlusDeviations() {
    LossGuard guard = LossGuard.ofLosses(8);
    List<Double> losses = new ArrayList<>();
    for (int i = 0; i < 15; i++) {
      losses.add(1 + 0.1 * (i - 7));
    }
    losses.forEach(loss -> guard.observe(loss, 500));
    assertThat(guard.bound()).isInfinite();
    guard.observe(1, 500);
    // Median 1; of the deviations from it the two in the middle are both 0.3 or 0.4.
    double width = 8 * 1.4826 * 0.35;
    assertThat(guard.bound()).isEqualTo(1 + width, Offset.offset(1e-9));
    assertThat(guard.bound(1000)).isEqualTo(1 + width, Offset.offset(1e-9));
    // The mean of a quarter of the rows varies by twice as much.
    assertThat(guard.bound(125)).isEqualTo(1 + 2 * width, Offset.offset(1e-9));
  }

  @Test
  void aLevelThatStaysBecomesUsual() {
    LossGuard guard = LossGuard.ofLosses(8);
    for (int i = 0; i < 32; i++) {
      guard.observe(0.3 + 0.01 * (i % 2), 500);
    }
    int out = 0;
    while (2.0 > guard.bound()) {
      guard.observe(2.0, 500);
      out++;
    }
    assertThat(out).isBetween(10, 16);
  }

  @Test
  void stalenessIsCountedInVersions() {
    StudentVersions versions = new StudentVersions(3);
    assertThat(versions.newest()).isEqualTo(StudentVersions.NONE);
    assertThat(versions.behind(5)).isZero();
    versions.begin(10);
    versions.begin(20);
    versions.begin(30);
    assertThat(versions.newest()).isEqualTo(30);
    assertThat(versions.behind(31)).isZero();
    assertThat(versions.behind(30)).isZero();
    assertThat(versions.behind(29)).isEqualTo(1);
    assertThat(versions.behind(10)).isEqualTo(2);
    assertThat(versions.behind(0)).isEqualTo(3);
    StudentVersions other = new StudentVersions(3);
    other.restore(versions.state());
    assertThat(other.behind(10)).isEqualTo(2);
  }
}
