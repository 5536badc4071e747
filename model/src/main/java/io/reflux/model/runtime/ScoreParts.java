package io.reflux.model.runtime;

import java.util.List;
import java.util.function.Function;

/** Scores of consecutive rows, put end to end. */
final class ScoreParts {
  private ScoreParts() {}

  static Scores join(List<Scores> parts, int k) {
    int rows = parts.stream().mapToInt(Scores::rows).sum();
    int[] topIds = new int[rows * k];
    int position = 0;
    for (Scores part : parts) {
      System.arraycopy(part.topIds(), 0, topIds, position, part.topIds().length);
      position += part.topIds().length;
    }
    return new Scores(
        rows,
        k,
        topIds,
        floats(parts, Scores::topLogprobs),
        floats(parts, Scores::tailLogMass),
        floats(parts, Scores::tokenLogprobs),
        floats(parts, Scores::entropy),
        floats(parts, Scores::supportLogprobs));
  }

  private static float[] floats(List<Scores> parts, Function<Scores, float[]> field) {
    float[] all = new float[parts.stream().map(field).mapToInt(part -> part.length).sum()];
    int position = 0;
    for (Scores part : parts) {
      float[] values = field.apply(part);
      System.arraycopy(values, 0, all, position, values.length);
      position += values.length;
    }
    return all;
  }
}
