package io.reflux.model.onnx;

import java.util.List;

/**
 * Hears the names of values while a trunk is written, so that a graph can add nodes that read them.
 * Values have the graph's element type and a row for each of the batch's positions, padding
 * included, unless said otherwise.
 */
interface TrunkWatch {
  /** Hears nothing. */
  TrunkWatch NONE = new TrunkWatch() {};

  /**
   * A layer's matrices are about to multiply a value.
   *
   * @param tensorNames of the matrices that share it
   * @param value [batch · tokens, columns of each matrix]
   */
  default void matrixInput(List<String> tensorNames, String value) {}

  /**
   * A layer begins.
   *
   * @param value the residual stream, [batch · tokens, hiddenSize]
   */
  default void blockInput(int layer, String value) {}

  /**
   * The last layer has ended.
   *
   * @param value the residual stream, float32, [wanted positions, hiddenSize]
   */
  default void lastOutput(String value) {}
}
