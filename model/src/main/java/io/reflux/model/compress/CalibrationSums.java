package io.reflux.model.compress;

import io.reflux.model.ModelException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Σ = XᵀX of the input X [tokens, in] of every matrix of a model. Sums over tokens, so that those
 * of two sets of text add up, and a decayed sum over live traffic is a calibration set that follows
 * it. Immutable, as long as nobody writes to the arrays.
 */
public final class CalibrationSums {
  private final double tokens;
  private final List<Sum> sums;
  private final Map<String, Sum> byMatrix = new HashMap<>();

  /**
   * Sums of some inputs.
   *
   * @param tokens above 0, how many tokens' worth is in the sums
   * @throws ModelException if a matrix is named twice, or a number is not finite
   */
  public CalibrationSums(double tokens, List<Sum> sums) {
    if (!(tokens > 0 && tokens < Double.POSITIVE_INFINITY)) {
      throw new ModelException("calibration: %s tokens (expected: above 0)".formatted(tokens));
    }
    this.tokens = tokens;
    this.sums = List.copyOf(sums);
    for (Sum sum : sums) {
      for (String matrix : sum.matrices()) {
        if (byMatrix.put(matrix, sum) != null) {
          throw new ModelException(matrix + ": two sums (expected: one)");
        }
      }
    }
  }

  /**
   * The sum of one input.
   *
   * @param matrices tensor names of those that share the input
   * @param width numbers a token
   * @param values [width, width], row-major, symmetric; not copied
   */
  @SuppressWarnings("ArrayRecordComponent") // millions of elements, handed on without a copy
  public record Sum(List<String> matrices, int width, float[] values) {
    public Sum {
      matrices = List.copyOf(matrices);
      if (matrices.isEmpty() || width < 1 || values.length != (long) width * width) {
        throw new ModelException(
            "%s: sum of %d elements, width %d (expected: width x width)"
                .formatted(matrices, values.length, width));
      }
      for (int i = 0; i < values.length; i++) {
        if (!Float.isFinite(values[i])) {
          throw new ModelException(
              "%s: sum of inputs: %s at element %d (expected: finite activations)"
                  .formatted(matrices.get(0), values[i], i));
        }
      }
    }
  }

  /** How many tokens' worth is in the sums; after decay not a whole number. */
  public double tokens() {
    return tokens;
  }

  /** The sums, one an input, in the order of a forward pass. */
  public List<Sum> sums() {
    return sums;
  }

  /** Tensor names of the matrices whose inputs are summed. */
  public Set<String> matrices() {
    return Collections.unmodifiableSet(byMatrix.keySet());
  }

  /**
   * Σ of a matrix's input. Matrices that share an input share the array; leave it as it is.
   *
   * @param matrixName tensor name; the embedding's stands for the head when they are tied
   * @return [in, in], row-major, symmetric
   * @throws ModelException if that matrix is not in the sums
   */
  public float[] of(String matrixName) {
    Sum sum = byMatrix.get(matrixName);
    if (sum == null) {
      throw new ModelException(matrixName + ": no sum of inputs (expected: a calibrated matrix)");
    }
    return sum.values();
  }

  /**
   * The same with less weight, tokens included.
   *
   * @param factor above 0, at most 1
   */
  public CalibrationSums decayed(double factor) {
    if (!(factor > 0 && factor <= 1)) {
      throw new ModelException("decay: " + factor + " (expected: above 0, at most 1)");
    }
    List<Sum> scaled = new ArrayList<>(sums.size());
    for (Sum sum : sums) {
      float[] values = new float[sum.values().length];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) (sum.values()[i] * factor);
      }
      scaled.add(new Sum(sum.matrices(), sum.width(), values));
    }
    return new CalibrationSums(tokens * factor, scaled);
  }

  /**
   * Sums over the tokens of both.
   *
   * @throws ModelException if they are of different matrices or widths
   */
  public CalibrationSums plus(CalibrationSums other) {
    if (sums.size() != other.sums.size()) {
      throw new ModelException(
          "calibration: %d sums (expected: %d, as the other)"
              .formatted(other.sums.size(), sums.size()));
    }
    List<Sum> both = new ArrayList<>(sums.size());
    for (int s = 0; s < sums.size(); s++) {
      Sum mine = sums.get(s);
      Sum its = other.sums.get(s);
      if (mine.width() != its.width() || !mine.matrices().equals(its.matrices())) {
        throw new ModelException(
            "calibration: %s of width %d (expected: %s of width %d, as the other)"
                .formatted(its.matrices(), its.width(), mine.matrices(), mine.width()));
      }
      float[] values = new float[mine.values().length];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) ((double) mine.values()[i] + its.values()[i]);
      }
      both.add(new Sum(mine.matrices(), mine.width(), values));
    }
    return new CalibrationSums(tokens + other.tokens, both);
  }

  /**
   * Writes a file that {@link #load} reads, whole or not at all. The same sums give the same bytes.
   */
  public void save(Path file) {
    CalibrationFile.write(file, this);
  }

  /**
   * Reads what {@link #save} wrote, to the bit.
   *
   * @throws ModelException one line that names the file, if it is missing or a bit of it is changed
   */
  public static CalibrationSums load(Path file) {
    return CalibrationFile.read(file);
  }
}
