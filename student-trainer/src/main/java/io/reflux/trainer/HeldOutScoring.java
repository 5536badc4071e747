package io.reflux.trainer;

import io.reflux.model.divergence.TeacherLabels;
import io.reflux.model.divergence.TeacherStudentDivergence;
import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** Measures a shipped artefact, by the very graph that scores with it, on held-out sequences. */
final class HeldOutScoring {
  private static final int BATCH = 32;

  private HeldOutScoring() {}

  static SnapshotQuality quality(Scorer scorer, List<LabelledSequence> heldOut) {
    List<LabelledSequence> sorted = new ArrayList<>(heldOut);
    sorted.sort(Comparator.comparingInt(sequence -> sequence.tokenIds().length));
    Result total = Result.EMPTY;
    for (int from = 0; from < sorted.size(); from += BATCH) {
      List<LabelledSequence> batch = sorted.subList(from, Math.min(sorted.size(), from + BATCH));
      List<TeacherLabels> teachers = batch.stream().map(LabelledSequence::teacher).toList();
      List<ScoreRequest> requests = new ArrayList<>();
      for (int i = 0; i < batch.size(); i++) {
        LabelledSequence sequence = batch.get(i);
        TeacherLabels teacher = teachers.get(i);
        requests.add(
            new ScoreRequest(
                sequence.tokenIds(),
                sequence.promptLength(),
                teacher.supportIds(),
                teacher.supportSize()));
      }
      List<Scores> scores = scorer.score(requests);
      for (int i = 0; i < batch.size(); i++) {
        total =
            total.plus(
                TeacherStudentDivergence.compare(
                    teachers.get(i), scores.get(i), batch.get(i)::counts));
      }
    }
    return total.rows() == 0
        ? SnapshotQuality.UNKNOWN
        : new SnapshotQuality(total.rows(), total.agreement(), total.klMean(), total.acceptance());
  }
}
