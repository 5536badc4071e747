package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * What survives of a model, in indices of the dense one, ascending. Said explicitly, because a
 * weight of zero need not be a removed one.
 *
 * @param layers that survive
 * @param keyValueHeads that survive, for each surviving layer; as many in each
 * @param neurons that survive, for each surviving layer; as many in each
 */
public record PruningMask(
    List<Integer> layers, List<List<Integer>> keyValueHeads, List<List<Integer>> neurons) {
  public PruningMask {
    layers = List.copyOf(layers);
    keyValueHeads = keyValueHeads.stream().map(List::copyOf).toList();
    neurons = neurons.stream().map(List::copyOf).toList();
    check("layers", List.of(layers), 1);
    check("key-value heads", keyValueHeads, layers.size());
    check("neurons", neurons, layers.size());
  }

  /** Everything survives. */
  public static PruningMask all(ModelConfig dense) {
    return new PruningMask(
        range(dense.layers()),
        IntStream.range(0, dense.layers()).mapToObj(layer -> range(dense.keyValueHeads())).toList(),
        IntStream.range(0, dense.layers())
            .mapToObj(layer -> range(dense.intermediateSize()))
            .toList());
  }

  /** How much survives. */
  public PrunedShape shape() {
    return new PrunedShape(layers.size(), neurons.get(0).size(), keyValueHeads.get(0).size());
  }

  /**
   * The rows and columns of the survivors, under the names of a model of that size. What belongs to
   * weights, such as an optimizer's moments under the same names, is cut the same way.
   *
   * @param dense the shape of what is cut
   * @param weights of that shape; 8-bit matrices are dequantised
   * @throws ModelException if the mask names what the model does not have
   */
  public Weights cut(ModelConfig dense, Weights weights) {
    require("layer", layers, dense.layers());
    keyValueHeads.forEach(heads -> require("key-value head", heads, dense.keyValueHeads()));
    neurons.forEach(some -> require("neuron", some, dense.intermediateSize()));
    Map<String, long[]> shapes =
        TensorNames.expected(shape().cut(dense)).stream()
            .collect(Collectors.toMap(TensorInfo::name, PruningMask::dimensions));
    MemoryWeights.Builder cut = MemoryWeights.builder();
    add(cut, shapes, TensorNames.EMBEDDING, weights.floats(TensorNames.EMBEDDING));
    add(cut, shapes, TensorNames.FINAL_NORM, weights.floats(TensorNames.FINAL_NORM));
    if (!dense.tiedEmbeddings()) {
      add(cut, shapes, TensorNames.HEAD, weights.floats(TensorNames.HEAD));
    }
    for (int layer = 0; layer < layers.size(); layer++) {
      new LayerCut(dense, weights, cut, shapes, layers.get(layer), layer)
          .run(keyValueHeads.get(layer), neurons.get(layer));
    }
    return cut.build();
  }

  /** Cuts one layer and gives it its new number. */
  private record LayerCut(
      ModelConfig dense,
      Weights weights,
      MemoryWeights.Builder cut,
      Map<String, long[]> shapes,
      int from,
      int to) {
    void run(List<Integer> heads, List<Integer> survivingNeurons) {
      int keySize = dense.headSize();
      int groupSize = dense.heads() / dense.keyValueHeads() * keySize;
      int[] queries = spans(heads, groupSize);
      int[] keys = spans(heads, keySize);
      int[] inner = spans(survivingNeurons, 1);
      int hidden = dense.hiddenSize();
      whole(TensorNames::inputNorm);
      rows(TensorNames::query, queries, hidden);
      rows(TensorNames::key, keys, hidden);
      rows(TensorNames::value, keys, hidden);
      if (dense.attentionBias()) {
        rows(TensorNames::queryBias, queries, 1);
        rows(TensorNames::keyBias, keys, 1);
        rows(TensorNames::valueBias, keys, 1);
      }
      if (dense.qkNorm()) {
        // One gain for all heads.
        whole(TensorNames::queryNorm);
        whole(TensorNames::keyNorm);
      }
      columns(TensorNames::output, queries);
      whole(TensorNames::postAttentionNorm);
      rows(TensorNames::gate, inner, hidden);
      rows(TensorNames::up, inner, hidden);
      columns(TensorNames::down, inner);
    }

    private void whole(Function<Integer, String> name) {
      add(cut, shapes, name.apply(to), weights.floats(name.apply(from)));
    }

    private void rows(Function<Integer, String> name, int[] rows, int columns) {
      float[] all = weights.floats(name.apply(from));
      float[] some = new float[rows.length * columns];
      for (int i = 0; i < rows.length; i++) {
        System.arraycopy(all, rows[i] * columns, some, i * columns, columns);
      }
      add(cut, shapes, name.apply(to), some);
    }

    private void columns(Function<Integer, String> name, int[] columns) {
      float[] all = weights.floats(name.apply(from));
      int rows = dense.hiddenSize();
      int width = all.length / rows;
      float[] some = new float[rows * columns.length];
      for (int row = 0; row < rows; row++) {
        for (int i = 0; i < columns.length; i++) {
          some[row * columns.length + i] = all[row * width + columns[i]];
        }
      }
      add(cut, shapes, name.apply(to), some);
    }
  }

  /** Indices of all elements of some spans of the same size. */
  private static int[] spans(List<Integer> which, int size) {
    return which.stream()
        .flatMapToInt(span -> IntStream.range(span * size, (span + 1) * size))
        .toArray();
  }

  private static void add(
      MemoryWeights.Builder cut, Map<String, long[]> shapes, String name, float[] values) {
    cut.floats(name, shapes.get(name), values);
  }

  private static long[] dimensions(TensorInfo tensor) {
    return tensor.shape().stream().mapToLong(Long::longValue).toArray();
  }

  private static List<Integer> range(int count) {
    return IntStream.range(0, count).boxed().toList();
  }

  private static void check(String what, List<List<Integer>> survivors, int lists) {
    boolean fits = survivors.size() == lists && !survivors.get(0).isEmpty();
    for (List<Integer> one : survivors) {
      fits = fits && one.size() == survivors.get(0).size();
      for (int i = 0; i < one.size(); i++) {
        fits = fits && one.get(i) > (i == 0 ? -1 : one.get(i - 1));
      }
    }
    if (!fits) {
      throw new ModelException(
          "pruning mask: %s: %s (expected: ascending indices, as many in each layer)"
              .formatted(what, survivors));
    }
  }

  private static void require(String what, List<Integer> indices, int there) {
    int last = indices.get(indices.size() - 1);
    if (last >= there) {
      throw new ModelException(
          "pruning mask: %s %d (expected: 0 to %d)".formatted(what, last, there - 1));
    }
  }
}
