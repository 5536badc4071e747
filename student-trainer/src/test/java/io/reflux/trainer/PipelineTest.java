package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.trainer.Pipeline.Counts;
import io.reflux.trainer.Pipeline.Part;
import io.reflux.trainer.Pipeline.Times;
import io.reflux.trainer.Pipeline.View;
import io.reflux.trainer.Pipeline.Waiting;
import java.util.Map;
import org.junit.jupiter.api.Test;

class PipelineTest {
  private static final long SECOND = 1_000_000_000;
  private static final Waiting NOTHING = new Waiting(0, 0, 0, 0, 0, 0);

  private final Pipeline pipeline = new Pipeline();

  @Test
  void ratesAreOfTheTimeBetweenTwoLooks() {
    look(new Counts(100, 10, 8, 6, 4), NOTHING, Map.of(), 0);
    View view =
        pipeline.look(
            new Counts(300, 30, 18, 10, 104), NOTHING, new Times(Map.of(), 0, 2 * SECOND));
    assertThat(view.figures())
        .containsEntry("soft_labels_per_second", 100.0)
        .containsEntry("prompts_per_second", 10.0)
        .containsEntry("rollouts_written_per_second", 5.0)
        .containsEntry("rollouts_scored_per_second", 2.0);
    assertThat(view.rates().get("rollouts_trained")).isCloseTo(50, within(1e-9));
  }

  @Test
  void namesWhatTheWriterWaitedForLongest() {
    Map<Part, Long> waited = Map.of(Part.PROMPTS, SECOND / 4, Part.STUDENT_WRITING, SECOND / 2);
    assertThat(narrow(NOTHING, waited, 0)).isEqualTo(Part.STUDENT_WRITING);
    assertThat(pipeline.latest().figures()).containsEntry("bottleneck_student_writing", 1.0);
    assertThat(Part.STUDENT_WRITING.text()).isEqualTo("student writing");
  }

  @Test
  void rolloutsThatAreBackDoNotWaitForTheTeacher() {
    Map<Part, Long> waited = Map.of(Part.TEACHER_SCORING, SECOND);
    assertThat(narrow(new Waiting(0, 0, 200, 10, 0, 0), waited, 0)).isEqualTo(Part.TEACHER_SCORING);
    assertThat(narrow(new Waiting(0, 0, 200, 180, 0, 0), waited, 0)).isEqualTo(Part.TRAINING);
  }

  @Test
  void trainingWithoutRolloutsIsNarrowUnlessItIdles() {
    assertThat(narrow(NOTHING, Map.of(), SECOND / 10)).isEqualTo(Part.TRAINING);
    assertThat(narrow(NOTHING, Map.of(), SECOND * 9 / 10)).isEqualTo(Part.TEACHER_SCORING);
    assertThat(narrow(NOTHING, Map.of(Part.PROMPTS, SECOND), SECOND * 9 / 10))
        .isEqualTo(Part.PROMPTS);
  }

  @Test
  void beforeAnythingFlowsNothingIsNarrow() {
    assertThat(look(new Counts(0, 0, 0, 0, 0), NOTHING, Map.of(), SECOND).narrow()).isEmpty();
  }

  private Part narrow(Waiting waiting, Map<Part, Long> waited, long idle) {
    return look(new Counts(1, 0, 0, 0, 0), waiting, waited, idle).narrow().orElseThrow();
  }

  private View look(Counts counts, Waiting waiting, Map<Part, Long> waited, long idle) {
    return pipeline.look(counts, waiting, new Times(waited, idle, SECOND));
  }
}
