package io.reflux.trainer;

import io.reflux.model.divergence.TeacherStudentDivergence;
import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import io.reflux.schemas.labels.TopKBlock;
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
      List<TopKBlock> blocks = batch.stream().map(LabelledSequence::block).toList();
      List<ScoreRequest> requests = new ArrayList<>();
      for (int i = 0; i < batch.size(); i++) {
        LabelledSequence sequence = batch.get(i);
        requests.add(
            new ScoreRequest(
                sequence.tokenIds(),
                sequence.promptLength(),
                blocks.get(i).ids(),
                blocks.get(i).k()));
      }
      List<Scores> scores = scorer.score(requests);
      for (int i = 0; i < batch.size(); i++) {
        TopKBlock block = blocks.get(i);
        total =
            total.plus(
                TeacherStudentDivergence.compare(
                    block.rows(),
                    block.k(),
                    block.ids(),
                    block.logprobs(),
                    block.tailLogMass(),
                    scores.get(i)));
      }
    }
    return total.rows() == 0
        ? SnapshotQuality.UNKNOWN
        : new SnapshotQuality(total.rows(), total.agreement(), total.klMean(), total.acceptance());
  }
}
