package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.trainer.nn.Adaptation.Lora;
import io.reflux.trainer.nn.Adaptation.Lora.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * The low-rank pair beside a matrix.
 *
 * @param layer that the matrix is of
 * @param matrix name of the matrix
 * @param a [rank, inputs]
 * @param b [outputs, rank]
 */
record Adapter(int layer, String matrix, TensorInfo a, TensorInfo b) {
  /** All of a model, layer after layer. */
  static List<Adapter> of(ModelConfig config, Lora lora) {
    List<TensorInfo> tensors = TensorNames.expected(config);
    List<Adapter> adapters = new ArrayList<>();
    for (int layer = 0; layer < config.layers(); layer++) {
      for (Target target : Target.values()) {
        String matrix = matrix(target, layer);
        for (TensorInfo tensor : tensors) {
          if (lora.targets().contains(target) && tensor.name().equals(matrix)) {
            adapters.add(of(layer, tensor, lora.rank()));
          }
        }
      }
    }
    return adapters;
  }

  private static Adapter of(int layer, TensorInfo matrix, long rank) {
    return new Adapter(
        layer,
        matrix.name(),
        new TensorInfo(matrix.name() + ".lora_A", DType.F32, List.of(rank, matrix.shape().get(1))),
        new TensorInfo(matrix.name() + ".lora_B", DType.F32, List.of(matrix.shape().get(0), rank)));
  }

  private static String matrix(Target target, int layer) {
    return switch (target) {
      case Q -> TensorNames.query(layer);
      case K -> TensorNames.key(layer);
      case V -> TensorNames.value(layer);
      case O -> TensorNames.output(layer);
      case GATE -> TensorNames.gate(layer);
      case UP -> TensorNames.up(layer);
      case DOWN -> TensorNames.down(layer);
    };
  }

  /** What A starts from. */
  float[] freshA(Random random) {
    float[] values = new float[Math.toIntExact(a.elements())];
    double deviation = 1 / Math.sqrt(a.shape().get(1));
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    return values;
  }
}
