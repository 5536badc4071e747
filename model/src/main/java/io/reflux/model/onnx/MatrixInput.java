package io.reflux.model.onnx;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorNames;
import java.util.ArrayList;
import java.util.List;

/**
 * What goes into one matrix of a model, or into several that share it.
 *
 * @param matrices tensor names: query, key and value share an input, and so do gate and up
 * @param width numbers a token
 */
public record MatrixInput(List<String> matrices, int width) {
  public MatrixInput {
    matrices = List.copyOf(matrices);
  }

  /** Every input of a model in the order of a forward pass, the head's last. */
  public static List<MatrixInput> of(ModelConfig config) {
    List<MatrixInput> inputs = new ArrayList<>();
    for (int layer = 0; layer < config.layers(); layer++) {
      inputs.add(
          new MatrixInput(
              List.of(TensorNames.query(layer), TensorNames.key(layer), TensorNames.value(layer)),
              config.hiddenSize()));
      inputs.add(
          new MatrixInput(List.of(TensorNames.output(layer)), config.heads() * config.headSize()));
      inputs.add(
          new MatrixInput(
              List.of(TensorNames.gate(layer), TensorNames.up(layer)), config.hiddenSize()));
      inputs.add(new MatrixInput(List.of(TensorNames.down(layer)), config.intermediateSize()));
    }
    inputs.add(new MatrixInput(List.of(TensorNames.head(config)), config.hiddenSize()));
    return inputs;
  }
}
