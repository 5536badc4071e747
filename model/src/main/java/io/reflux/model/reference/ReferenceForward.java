package io.reflux.model.reference;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A Llama-family model, one sequence at a time, in double precision and without a cache. Weights
 * are read in float32 (8-bit ones dequantised); everything after that is double.
 */
public final class ReferenceForward {
  private final ModelConfig config;
  private final Weights weights;
  private final double[] radians;
  private final Map<String, double[][]> matrixInputs = new LinkedHashMap<>();
  private final List<double[][]> residuals = new ArrayList<>();

  private ReferenceForward(ModelConfig config, Weights weights) {
    this.config = config;
    this.weights = weights;
    this.radians = RotaryFrequencies.radiansPerPosition(config);
  }

  /**
   * Logits of the token after each position.
   *
   * @param tokenIds at least one, each in [0, vocabularySize)
   * @return [tokens, vocabularySize]
   */
  public static double[][] logits(ModelConfig config, Weights weights, int[] tokenIds) {
    return new ReferenceForward(config, weights).run(tokenIds);
  }

  /**
   * What a forward pass computes on its way.
   *
   * @param logits [tokens, vocabularySize]
   * @param matrixInputs [tokens, columns] by the name of the matrix that multiplies it
   * @param residuals [tokens, hiddenSize] before each layer, and after the last
   */
  public record Trace(
      double[][] logits, Map<String, double[][]> matrixInputs, List<double[][]> residuals) {
    public Trace {
      matrixInputs = Map.copyOf(matrixInputs);
      residuals = List.copyOf(residuals);
    }
  }

  /**
   * Logits together with what led to them.
   *
   * @param tokenIds at least one, each in [0, vocabularySize)
   */
  public static Trace trace(ModelConfig config, Weights weights, int[] tokenIds) {
    ReferenceForward forward = new ReferenceForward(config, weights);
    double[][] logits = forward.run(tokenIds);
    return new Trace(logits, forward.matrixInputs, forward.residuals);
  }

  /** Natural logs of the probabilities that logits stand for. */
  public static double[] logSoftmax(double[] logits) {
    double max = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      max = Math.max(max, logit);
    }
    double sum = 0;
    for (double logit : logits) {
      sum += Math.exp(logit - max);
    }
    double logSum = max + Math.log(sum);
    double[] logprobs = new double[logits.length];
    for (int i = 0; i < logits.length; i++) {
      logprobs[i] = logits[i] - logSum;
    }
    return logprobs;
  }

  /** Index of the largest; of equals the first. */
  public static int argmax(double[] values) {
    int best = 0;
    for (int i = 1; i < values.length; i++) {
      if (values[i] > values[best]) {
        best = i;
      }
    }
    return best;
  }

  private double[][] run(int[] tokenIds) {
    double[][] residual = embed(tokenIds);
    for (int layer = 0; layer < config.layers(); layer++) {
      residuals.add(copyOf(residual));
      double[][] attended = attention(layer, normed(residual, TensorNames.inputNorm(layer)));
      addTo(residual, attended);
      double[][] fed = feedForward(layer, normed(residual, TensorNames.postAttentionNorm(layer)));
      addTo(residual, fed);
    }
    residuals.add(copyOf(residual));
    return project(normed(residual, TensorNames.FINAL_NORM), TensorNames.head(config));
  }

  private double[][] embed(int[] tokenIds) {
    if (tokenIds.length == 0) {
      throw new ModelException("token ids: none (expected: at least one)");
    }
    float[] embeddings = weights.floats(TensorNames.EMBEDDING);
    double[][] hidden = new double[tokenIds.length][config.hiddenSize()];
    for (int t = 0; t < tokenIds.length; t++) {
      if (tokenIds[t] < 0 || tokenIds[t] >= config.vocabularySize()) {
        throw new ModelException(
            "token id: %d (expected: 0 to %d)".formatted(tokenIds[t], config.vocabularySize() - 1));
      }
      for (int i = 0; i < config.hiddenSize(); i++) {
        hidden[t][i] = embeddings[tokenIds[t] * config.hiddenSize() + i];
      }
    }
    return hidden;
  }

  /** Grouped-query attention over the positions that a token sees. */
  private double[][] attention(int layer, double[][] hidden) {
    double[][] queries = project(hidden, TensorNames.query(layer));
    double[][] keys = project(hidden, TensorNames.key(layer));
    double[][] values = project(hidden, TensorNames.value(layer));
    if (config.attentionBias()) {
      addBias(queries, TensorNames.queryBias(layer));
      addBias(keys, TensorNames.keyBias(layer));
      addBias(values, TensorNames.valueBias(layer));
    }
    if (config.qkNorm()) {
      normHeads(queries, config.heads(), TensorNames.queryNorm(layer));
      normHeads(keys, config.keyValueHeads(), TensorNames.keyNorm(layer));
    }
    rotate(queries, config.heads());
    rotate(keys, config.keyValueHeads());

    int headSize = config.headSize();
    int queriesPerKey = config.heads() / config.keyValueHeads();
    double[][] mixed = new double[hidden.length][config.heads() * headSize];
    for (int t = 0; t < hidden.length; t++) {
      int first =
          config.slidingWindow().isPresent()
              ? Math.max(0, t - config.slidingWindow().getAsInt() + 1)
              : 0;
      for (int head = 0; head < config.heads(); head++) {
        int queryStart = head * headSize;
        int keyStart = head / queriesPerKey * headSize;
        double[] scores = new double[t + 1 - first];
        for (int s = first; s <= t; s++) {
          double dot = 0;
          for (int i = 0; i < headSize; i++) {
            dot += queries[t][queryStart + i] * keys[s][keyStart + i];
          }
          scores[s - first] = dot / Math.sqrt(headSize);
        }
        double[] logShares = logSoftmax(scores);
        for (int s = first; s <= t; s++) {
          double share = Math.exp(logShares[s - first]);
          for (int i = 0; i < headSize; i++) {
            mixed[t][queryStart + i] += share * values[s][keyStart + i];
          }
        }
      }
    }
    return project(mixed, TensorNames.output(layer));
  }

  /** SwiGLU: down(silu(gate) · up). */
  private double[][] feedForward(int layer, double[][] hidden) {
    double[][] gates = project(hidden, TensorNames.gate(layer));
    double[][] ups = project(hidden, TensorNames.up(layer));
    for (int t = 0; t < hidden.length; t++) {
      for (int i = 0; i < gates[t].length; i++) {
        gates[t][i] = gates[t][i] / (1 + Math.exp(-gates[t][i])) * ups[t][i];
      }
    }
    return project(gates, TensorNames.down(layer));
  }

  /** Rotates the pairs (i, i + headSize/2) of each head by position times frequency. */
  private void rotate(double[][] projected, int heads) {
    int half = config.headSize() / 2;
    for (int t = 0; t < projected.length; t++) {
      for (int head = 0; head < heads; head++) {
        int start = head * config.headSize();
        for (int i = 0; i < half; i++) {
          double cos = Math.cos(t * radians[i]);
          double sin = Math.sin(t * radians[i]);
          double first = projected[t][start + i];
          double second = projected[t][start + half + i];
          projected[t][start + i] = first * cos - second * sin;
          projected[t][start + half + i] = second * cos + first * sin;
        }
      }
    }
  }

  /** RMS norm of whole rows into fresh ones. */
  private double[][] normed(double[][] hidden, String gainName) {
    float[] gain = weights.floats(gainName);
    double[][] normed = new double[hidden.length][];
    for (int t = 0; t < hidden.length; t++) {
      normed[t] = hidden[t].clone();
      normSpan(normed[t], 0, gain);
    }
    return normed;
  }

  private void normHeads(double[][] projected, int heads, String gainName) {
    float[] gain = weights.floats(gainName);
    for (double[] row : projected) {
      for (int head = 0; head < heads; head++) {
        normSpan(row, head * config.headSize(), gain);
      }
    }
  }

  private void normSpan(double[] row, int start, float[] gain) {
    double squares = 0;
    for (int i = 0; i < gain.length; i++) {
      squares += row[start + i] * row[start + i];
    }
    double inverse = 1 / Math.sqrt(squares / gain.length + config.rmsNormEpsilon());
    for (int i = 0; i < gain.length; i++) {
      row[start + i] *= inverse * gain[i];
    }
  }

  /**
   * hidden · matrixᵀ.
   *
   * @param hidden [tokens, columns]
   * @param matrixName of a matrix [rows, columns]
   * @return [tokens, rows]
   */
  private double[][] project(double[][] hidden, String matrixName) {
    matrixInputs.put(matrixName, hidden);
    float[] matrix = weights.floats(matrixName);
    int columns = hidden[0].length;
    int rows = matrix.length / columns;
    double[][] projected = new double[hidden.length][rows];
    for (int t = 0; t < hidden.length; t++) {
      for (int row = 0; row < rows; row++) {
        double sum = 0;
        for (int column = 0; column < columns; column++) {
          sum += matrix[row * columns + column] * hidden[t][column];
        }
        projected[t][row] = sum;
      }
    }
    return projected;
  }

  private void addBias(double[][] projected, String biasName) {
    float[] bias = weights.floats(biasName);
    for (double[] row : projected) {
      for (int i = 0; i < row.length; i++) {
        row[i] += bias[i];
      }
    }
  }

  private static double[][] copyOf(double[][] rows) {
    double[][] copy = rows.clone();
    for (int i = 0; i < copy.length; i++) {
      copy[i] = rows[i].clone();
    }
    return copy;
  }

  private static void addTo(double[][] residual, double[][] added) {
    for (int t = 0; t < residual.length; t++) {
      for (int i = 0; i < residual[t].length; i++) {
        residual[t][i] += added[t][i];
      }
    }
  }
}
