package io.reflux.trainer;

import io.reflux.trainer.ReplayState.Sampled;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;

/**
 * What compression is calibrated on: the newest traffic that the student is trained on, and nothing
 * that it is measured on. It follows from what checkpoints hold, so that a resumed trainer takes
 * the same.
 */
final class NewestTraffic {
  private NewestTraffic() {}

  /**
   * Whole sequences of so many tokens or a few more, or all that there are.
   *
   * @return token ids, oldest first
   */
  static List<int[]> of(ReplayState replay, long tokens) {
    List<LabelledSequence> all = new ArrayList<>();
    replay.sample().stream()
        .map(Sampled::sequence)
        .sorted(Comparator.comparingLong(LabelledSequence::eventMillis))
        .forEach(all::add);
    all.addAll(replay.recent());
    all.addAll(replay.fresh());
    List<int[]> newest = new ArrayList<>();
    long taken = 0;
    for (int i = all.size() - 1; i >= 0 && taken < tokens; i--) {
      int[] ids = all.get(i).tokenIds();
      newest.add(ids);
      taken += ids.length;
    }
    Collections.reverse(newest);
    return newest;
  }
}
