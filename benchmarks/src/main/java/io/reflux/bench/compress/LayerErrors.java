package io.reflux.bench.compress;

import io.reflux.bench.Result;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.CalibrationSums;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What each method of quantising does to the output of each matrix on the calibration text: ‖(W −
 * Ŵ)X‖² / ‖WX‖², in doubles and apart from the code that minimises it.
 */
final class LayerErrors {
  /** What rounding to float32 may turn around. */
  private static final double TOLERANCE = 1e-6;

  private final Weights original;
  private final CalibrationSums sums;
  private final Map<String, Map<String, Double>> byMatrix = new LinkedHashMap<>();
  private final Map<String, Double> wholes = new HashMap<>();
  private final List<String> methods = new ArrayList<>();

  LayerErrors(Weights original, CalibrationSums sums) {
    this.original = original;
    this.sums = sums;
    for (TensorInfo tensor : original.tensors()) {
      // The embeddings are looked up: a matrix without sums has no input.
      if (tensor.shape().size() == 2 && sums.matrices().contains(tensor.name())) {
        byMatrix.put(tensor.name(), new LinkedHashMap<>());
        float[] weights = original.floats(tensor.name());
        float[] nothing = new float[weights.length];
        wholes.put(tensor.name(), energy(weights, nothing, sums.of(tensor.name())));
      }
    }
  }

  /** Adds a method. */
  void add(String method, Weights quantised) {
    methods.add(method);
    byMatrix.forEach(
        (name, errors) ->
            errors.put(
                method,
                energy(original.floats(name), quantised.floats(name), sums.of(name))
                    / wholes.get(name)));
  }

  /** A row a matrix, a column a method. */
  Result.Table table() {
    List<String> columns = new ArrayList<>(List.of("matrix"));
    columns.addAll(methods);
    List<List<Object>> rows = new ArrayList<>();
    byMatrix.forEach(
        (name, errors) -> {
          List<Object> row = new ArrayList<>(List.of(name));
          row.addAll(errors.values());
          rows.add(row);
        });
    return new Result.Table("layer_errors", columns, rows);
  }

  /**
   * Matrices where a better method errs more than a plainer one, a line each.
   *
   * @param inOrder methods, none of which may err more than the one before
   */
  List<String> outOfOrder(List<String> inOrder) {
    List<String> wrong = new ArrayList<>();
    byMatrix.forEach(
        (name, errors) -> {
          for (int i = 1; i < inOrder.size(); i++) {
            double plainer = errors.get(inOrder.get(i - 1));
            double better = errors.get(inOrder.get(i));
            if (!(better <= plainer * (1 + TOLERANCE))) {
              wrong.add(
                  "%s: %s errs by %.6g, %s by %.6g (expected: no more)"
                      .formatted(name, inOrder.get(i), better, inOrder.get(i - 1), plainer));
            }
          }
        });
    return wrong;
  }

  /** Mean over the matrices of one method's error as a share of another's. */
  double ratio(String method, String to) {
    return byMatrix.values().stream()
        .filter(errors -> errors.get(to) > 0)
        .mapToDouble(errors -> errors.get(method) / errors.get(to))
        .average()
        .orElse(Double.NaN);
  }

  /** ‖(W − Ŵ)X‖² */
  private static double energy(float[] weights, float[] quantised, float[] sum) {
    int width = (int) Math.round(Math.sqrt(sum.length));
    double[] row = new double[width];
    double energy = 0;
    for (int start = 0; start < weights.length; start += width) {
      for (int i = 0; i < width; i++) {
        row[i] = (double) weights[start + i] - quantised[start + i];
      }
      energy += form(row, sum);
    }
    return energy;
  }

  /** rᵀΣr of a symmetric Σ; four sums at a time, which a processor adds side by side. */
  private static double form(double[] row, float[] sum) {
    double total = 0;
    for (int i = 0; i < row.length; i++) {
      if (row[i] == 0) {
        continue;
      }
      int from = i * row.length;
      double a = 0;
      double b = 0;
      double c = 0;
      double d = 0;
      int j = 0;
      for (; j + 3 < i; j += 4) {
        a += row[j] * sum[from + j];
        b += row[j + 1] * sum[from + j + 1];
        c += row[j + 2] * sum[from + j + 2];
        d += row[j + 3] * sum[from + j + 3];
      }
      for (; j < i; j++) {
        a += row[j] * sum[from + j];
      }
      total += row[i] * (2 * (a + b + c + d) + row[i] * sum[from + i]);
    }
    return total;
  }
}
