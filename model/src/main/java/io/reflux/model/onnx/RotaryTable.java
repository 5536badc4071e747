package io.reflux.model.onnx;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.reference.RotaryFrequencies;
import java.util.Arrays;

/**
 * Cosines and sines of every position's angles, scaled as the configuration says: attention nodes
 * look them up.
 *
 * @param cos name of a [positions, attention's head size / 2] tensor
 * @param sin name of a [positions, attention's head size / 2] tensor
 */
record RotaryTable(String cos, String sin) {
  /**
   * Adds the table.
   *
   * @param type FLOAT, FLOAT16 or BFLOAT16: what attention works in
   * @param headSize of attention, at least the configuration's; what is padded is not turned
   */
  static RotaryTable add(
      GraphBuilder graph, ModelConfig config, int type, int headSize, int positions) {
    double[] radians = Arrays.copyOf(RotaryFrequencies.radiansPerPosition(config), headSize / 2);
    return new RotaryTable(
        graph.tensor(
            "rotary.cos",
            type,
            sink -> write(sink, radians, positions, true),
            positions,
            radians.length),
        graph.tensor(
            "rotary.sin",
            type,
            sink -> write(sink, radians, positions, false),
            positions,
            radians.length));
  }

  private static void write(TensorSink sink, double[] radians, int positions, boolean cosine) {
    float[] row = new float[radians.length];
    for (int position = 0; position < positions; position++) {
      for (int i = 0; i < row.length; i++) {
        double angle = position * radians[i];
        // StrictMath, so that every platform writes the same bytes.
        row[i] = (float) (cosine ? StrictMath.cos(angle) : StrictMath.sin(angle));
      }
      sink.floats(row);
    }
  }
}
