package io.reflux.run;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;

/** Sizes of models. */
final class StudentShape {
  private static final int HEAD_SIZE = 24;
  private static final int MULTIPLE = 32;

  private StudentShape() {}

  /** Number of weights of a model; tied ones count once. */
  static long parameters(ModelConfig config) {
    return TensorNames.expected(config).stream().mapToLong(TensorInfo::elements).sum();
  }

  /**
   * The widest shape of at most a tenth of the teacher's weights, at half its depth.
   *
   * @return in the form that {@code --student} takes
   */
  static String tenthOf(ModelConfig teacher) {
    long most = parameters(teacher) / 10;
    int layers = Math.max(2, teacher.layers() / 2);
    int best = MULTIPLE;
    for (int hidden = MULTIPLE; hidden < teacher.hiddenSize(); hidden += MULTIPLE) {
      if (weights(teacher.vocabularySize(), hidden, layers) <= most) {
        best = hidden;
      }
    }
    int heads = Math.max(2, best / HEAD_SIZE / 2 * 2);
    while (best % heads != 0) {
      heads -= 2;
    }
    return "hidden="
        + best
        + ",layers="
        + layers
        + ",heads="
        + heads
        + ",kv-heads="
        + heads / 2
        + ",ffn="
        + feedForward(best);
  }

  private static long weights(int vocabulary, int hidden, int layers) {
    long attention = 3L * hidden * hidden;
    long feedForward = 3L * hidden * feedForward(hidden);
    return (long) vocabulary * hidden + hidden + layers * (attention + feedForward + 2L * hidden);
  }

  private static int feedForward(int hidden) {
    return Math.round(hidden * 8 / 3f / MULTIPLE) * MULTIPLE;
  }
}
