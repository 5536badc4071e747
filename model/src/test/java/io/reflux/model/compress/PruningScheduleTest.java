package io.reflux.model.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PruningScheduleTest {
  private static final ModelConfig CONFIG =
      RandomModel.config(Architecture.LLAMA, 1).resized(12, 1024, 12, 4);

  @Test
  void cutsComeAtTheirStepsAndNotBefore() {
    PruningSchedule schedule =
        PruningSchedule.parse("neurons:0.75@2000..8000, kv:0.5@3000,layers:0.75@100..102/3");

    assertThat(schedule.steps())
        .containsExactly(100L, 101L, 102L, 2000L, 3000L, 4000L, 6000L, 8000L);
    assertThat(shape(schedule, 0)).isEqualTo(new PrunedShape(12, 1024, 4));
    assertThat(shape(schedule, 99)).isEqualTo(new PrunedShape(12, 1024, 4));
    assertThat(shape(schedule, 100)).isEqualTo(new PrunedShape(11, 1024, 4));
    assertThat(shape(schedule, 101)).isEqualTo(new PrunedShape(10, 1024, 4));
    assertThat(shape(schedule, 1999)).isEqualTo(new PrunedShape(9, 1024, 4));
    assertThat(shape(schedule, 2000)).isEqualTo(new PrunedShape(9, 960, 4));
    assertThat(shape(schedule, 3000)).isEqualTo(new PrunedShape(9, 960, 2));
    assertThat(shape(schedule, 4000)).isEqualTo(new PrunedShape(9, 896, 2));
    assertThat(shape(schedule, 6000)).isEqualTo(new PrunedShape(9, 832, 2));
    assertThat(shape(schedule, 7999)).isEqualTo(new PrunedShape(9, 832, 2));
    assertThat(shape(schedule, 8000)).isEqualTo(new PrunedShape(9, 768, 2));
    assertThat(shape(schedule, Long.MAX_VALUE)).isEqualTo(new PrunedShape(9, 768, 2));
  }

  @Property(tries = 100)
  void nothingGrowsBackAndTheEndIsTheTarget(
      @ForAll @DoubleRange(min = 0.05, max = 1) double share,
      @ForAll @LongRange(min = 0, max = 50) long first,
      @ForAll @IntRange(min = 2, max = 9) int cuts,
      @ForAll @IntRange(min = 0, max = 40) int longer) {
    long last = first + cuts - 1 + longer;
    PruningSchedule schedule =
        PruningSchedule.parse("neurons:%s@%d..%d/%d".formatted(share, first, last, cuts));
    int before = CONFIG.intermediateSize();
    for (long step = 0; step <= last; step++) {
      int now = shape(schedule, step).intermediateSize();
      assertThat(now).isLessThanOrEqualTo(before);
      if (now < before) {
        assertThat(schedule.steps()).contains(step);
      }
      before = now;
    }
    PrunedShape target = PruningTarget.parse("neurons:" + share).shape(CONFIG);
    assertThat(shape(schedule, last)).isEqualTo(target);
    assertThat(schedule.steps()).hasSize(cuts);
    assertThat(PruningSchedule.parse(schedule.toString())).isEqualTo(schedule);
  }

  @Test
  void noScheduleCutsNothing() {
    assertThat(PruningSchedule.parse("")).isEqualTo(PruningSchedule.NONE).hasToString("none");
    assertThat(PruningSchedule.parse("none").isEmpty()).isTrue();
    assertThat(shape(PruningSchedule.NONE, 5)).isEqualTo(PrunedShape.of(CONFIG));
    assertThat(PruningSchedule.NONE.steps()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "neurons:0.75",
        "neurons@5",
        "neurons:0.75@",
        "neurons:0.75@x",
        "neurons:0.75@-1",
        "neurons:0.75@9..5",
        "neurons:0.75@5..6",
        "neurons:0.75@5..50/0",
        "neurons:0.75@5..50/1",
        "neurons:0@5",
        "heads:0.5@5",
        "kv:0.5@5,kv:0.5@6"
      })
  void whatIsNoScheduleIsRefusedInOneLine(String text) {
    assertThatThrownBy(() -> PruningSchedule.parse(text))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("(expected: ")
        .hasMessageNotContaining("\n");
  }

  private static PrunedShape shape(PruningSchedule schedule, long step) {
    return schedule.shapeAt(step, CONFIG);
  }
}
