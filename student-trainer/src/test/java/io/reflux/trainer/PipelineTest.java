package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.trainer.Pipeline.Counts;
import io.reflux.trainer.Pipeline.Part;
import io.reflux.trainer.Pipeline.Sample;
import io.reflux.trainer.Pipeline.Times;
import io.reflux.trainer.Pipeline.View;
import io.reflux.trainer.Pipeline.Waiting;
import io.reflux.trainer.watch.Figure;
import java.util.Map;
import org.junit.jupiter.api.Test;

class PipelineTest {
  private static final long SECOND = 1_000_000_000;
  private static final Waiting NOTHING = new Waiting(0, 0, 0, 0, 0);

  @Test
  void ratesAreOfTheTimeBetweenTwoLooks() {
    Pipeline pipeline = new Pipeline(sample(new Counts(100, 10, 8, 6, 4), NOTHING, Map.of(), 0, 5));
    View view =
        pipeline.look(
            sample(new Counts(300, 30, 18, 10, 104), new Waiting(1, 2, 3, 4, 5), Map.of(), 0, 7));
    assertThat(view.figures())
        .containsEntry(Figure.LABELS_PER_SECOND, 100.0)
        .containsEntry(Figure.PROMPTS_PER_SECOND, 10.0)
        .containsEntry(Figure.ROLLOUTS_PER_SECOND, 5.0)
        .containsEntry(Figure.ROLLOUT_LABELS_PER_SECOND, 2.0)
        .containsEntry(Figure.ROLLOUTS_TRAINED_PER_SECOND, 50.0)
        .containsEntry(Figure.PROMPTS_WAITING, 1.0)
        .containsEntry(Figure.ROLLOUTS_WRITING, 2.0)
        .containsEntry(Figure.ROLLOUTS_SCORING, 3.0)
        .containsEntry(Figure.ROLLOUT_LABELS_LAG, 4.0)
        .containsEntry(Figure.LABELS_LAG, 5.0);
  }

  @Test
  void namesWhatTheWriterWaitedForLongestSinceTheLastLook() {
    Pipeline pipeline =
        new Pipeline(
            sample(new Counts(0, 0, 0, 0, 0), NOTHING, Map.of(Part.PROMPTS, 60 * SECOND), 0, 60));
    Map<Part, Long> waited =
        Map.of(Part.PROMPTS, 60 * SECOND + SECOND / 4, Part.STUDENT_WRITING, SECOND / 2);
    View view = pipeline.look(sample(new Counts(1, 0, 0, 0, 0), NOTHING, waited, 0, 61));
    assertThat(view.narrow()).contains(Part.STUDENT_WRITING);
    assertThat(Part.STUDENT_WRITING.text()).isEqualTo("student writing");
  }

  @Test
  void rolloutsThatAreBackDoNotWaitForTheTeacher() {
    Map<Part, Long> waited = Map.of(Part.TEACHER_SCORING, SECOND);
    assertThat(narrow(new Waiting(0, 0, 200, 10, 0), waited, 0)).isEqualTo(Part.TEACHER_SCORING);
    assertThat(narrow(new Waiting(0, 0, 200, 180, 0), waited, 0)).isEqualTo(Part.TRAINING);
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
    Sample nothing = sample(new Counts(0, 0, 0, 0, 0), NOTHING, Map.of(), 0, 0);
    assertThat(new Pipeline(nothing).look(nothing).narrow()).isEmpty();
  }

  private static Part narrow(Waiting waiting, Map<Part, Long> waited, long idle) {
    Pipeline pipeline = new Pipeline(sample(new Counts(0, 0, 0, 0, 0), NOTHING, Map.of(), 0, 0));
    return pipeline
        .look(sample(new Counts(1, 0, 0, 0, 0), waiting, waited, idle, 1))
        .narrow()
        .orElseThrow();
  }

  private static Sample sample(
      Counts counts, Waiting waiting, Map<Part, Long> waited, long idle, long seconds) {
    return new Sample(counts, waiting, new Times(waited, idle, seconds * SECOND));
  }
}
