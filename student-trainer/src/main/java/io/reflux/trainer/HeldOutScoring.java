package io.reflux.trainer;

import io.reflux.model.divergence.TeacherLabels;
import io.reflux.model.divergence.TeacherStudentDivergence;
import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Measures a shipped artefact, by the very graph that scores with it, on held-out sequences. What a
 * sequence came to is kept as long as the sequence is: of an artefact that many candidates are
 * compared with, only what was held out since is scored. One thread at a time.
 */
final class HeldOutScoring implements AutoCloseable {
  private static final int BATCH = 32;

  private final Scorer scorer;
  // By identity: the same request may come twice, with other draws.
  private Map<LabelledSequence, Result> known = new IdentityHashMap<>();

  /**
   * @param scorer of the artefact; owned from now on
   */
  HeldOutScoring(Scorer scorer) {
    this.scorer = scorer;
  }

  /** Tokens that a sequence may have. */
  int maxPositions() {
    return scorer.maxPositions();
  }

  /**
   * Measures each sequence, at the temperature of its labels.
   *
   * @param heldOut all that are held out now; what is not among them is forgotten
   * @return one result each, in order
   */
  List<Result> measure(List<LabelledSequence> heldOut) {
    List<LabelledSequence> unknown = new ArrayList<>();
    for (LabelledSequence sequence : heldOut) {
      if (!known.containsKey(sequence)) {
        unknown.add(sequence);
      }
    }
    unknown.sort(Comparator.comparingInt(sequence -> sequence.tokenIds().length));
    for (int from = 0; from < unknown.size(); from += BATCH) {
      score(unknown.subList(from, Math.min(unknown.size(), from + BATCH)));
    }
    Map<LabelledSequence, Result> kept = new IdentityHashMap<>();
    List<Result> results = new ArrayList<>(heldOut.size());
    for (LabelledSequence sequence : heldOut) {
      Result result = known.get(sequence);
      kept.put(sequence, result);
      results.add(result);
    }
    known = kept;
    return results;
  }

  @Override
  public void close() {
    scorer.close();
  }

  private void score(List<LabelledSequence> batch) {
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
                  teacher.supportSize())
              .atTemperature(sequence.labelTemperature()));
    }
    List<Scores> scores = scorer.score(requests);
    for (int i = 0; i < batch.size(); i++) {
      known.put(
          batch.get(i),
          TeacherStudentDivergence.compare(teachers.get(i), scores.get(i), batch.get(i)::counts));
    }
  }
}
