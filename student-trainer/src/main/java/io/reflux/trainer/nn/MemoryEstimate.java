package io.reflux.trainer.nn;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.nn.Offload.Place;

/**
 * Native memory of training, in bytes, before it starts: what tensors hold at the fullest moment of
 * a micro-batch, which is at the head or at the beginning of the way back. Measured peaks lie
 * within a quarter of it. The JVM's heap and the libraries themselves (about 300 MB) come on top,
 * and so does what the C library keeps in holes between tensors of unlike sizes: up to half as much
 * again, or as much again with checkpoints, unless {@code MALLOC_MMAP_THRESHOLD_} is set, which
 * costs a third of the speed.
 *
 * @param weights masters, trained or frozen, float32
 * @param gradients of what is trained, float32
 * @param moments of the optimizer; if they are on disk, the slice at hand
 * @param activations that wait for the way back: of every layer, or with checkpoints the inputs
 *     that are kept and the layers between two of them
 * @param backward what the way back through one layer holds besides
 * @param logits a chunk of the head's rows, and the rows' hidden states with their gradient
 * @param rotary cosines and sines of the positions
 * @param labels tokens, and what their rows are compared with
 */
public record MemoryEstimate(
    long weights,
    long gradients,
    long moments,
    long activations,
    long backward,
    long logits,
    long rotary,
    long labels) {
  private static final int HALF = 2;

  /**
   * Of one micro-batch after another, and updates between them.
   *
   * @param microBatchTokens real tokens of a micro-batch
   * @param longestSequence tokens of the longest sequence; a single longer one makes a micro-batch
   * @param k ids a row has a log-prob for; 0 for none, the vocabulary's size for full logits
   * @throws ModelException if the model cannot be adapted as the options say
   */
  public static MemoryEstimate of(
      ModelConfig config, ModelOptions options, int microBatchTokens, int longestSequence, int k) {
    ParameterLayout layout = new ParameterLayout(config, options.adaptation());
    boolean half =
        Devices.resolve(options.precision(), Devices.find(options.device())) == Precision.BF16;
    long tokens = Math.max(microBatchTokens, longestSequence);
    long floats = layout.floats();
    long layerParameters = layerParameters(config);
    long kept = keptPerLayer(config, half);
    long masks = masksPerLayer(config, longestSequence);
    // In bfloat16 the graph of a layer holds its matrices' casts too.
    long perLayer = tokens * kept + masks + (half ? HALF * layerParameters : 0);
    int every = Math.min(options.checkpointEvery(), config.layers());
    long activations =
        every == 0
            ? config.layers() * perLayer
            : every * perLayer + tokens * inputs(config, every) * Float.BYTES;
    long moments =
        options.offload().place() == Place.DISK
            ? 2L * Float.BYTES * Math.min(floats, options.offload().sliceFloats())
            : 2L * Float.BYTES * floats;
    return new MemoryEstimate(
        Float.BYTES * (floats + (long) layout.frozenFloats()),
        Float.BYTES * floats,
        moments,
        activations,
        backwardOfLayer(config, half, tokens, layerParameters),
        logits(config, options, half, tokens),
        RotaryTables.bytes(config, longestSequence),
        labels(config, tokens, k));
  }

  /**
   * The largest micro-batch that fits.
   *
   * @param bytes of native memory at most
   * @return tokens, at least the longest sequence's
   * @throws ModelException if one sequence of that length does not fit alone
   */
  public static int largestMicroBatch(
      ModelConfig config, ModelOptions options, long bytes, int longestSequence, int k) {
    long alone = of(config, options, longestSequence, longestSequence, k).total();
    if (alone > bytes) {
      throw new ModelException(
          "memory: %d MiB (expected: at least %d MiB, for one sequence of %d tokens)"
              .formatted(bytes >> 20, (alone >> 20) + 1, longestSequence));
    }
    int fits = longestSequence;
    int beyond = 1 << 24;
    while (beyond - fits > 1) {
      int tokens = fits + (beyond - fits) / 2;
      if (of(config, options, tokens, longestSequence, k).total() <= bytes) {
        fits = tokens;
      } else {
        beyond = tokens;
      }
    }
    return fits;
  }

  /** All parts; of the head's and the way back's, which take turns, the larger. */
  public long total() {
    long turns = Math.max(backward, logits);
    return weights + gradients + moments + activations + turns + rotary + labels;
  }

  private static long heads(ModelConfig config) {
    return (long) config.heads() * config.headSize();
  }

  private static long keys(ModelConfig config) {
    return (long) config.keyValueHeads() * config.headSize();
  }

  private static long layerParameters(ModelConfig config) {
    long attention = 2 * heads(config) + 2 * keys(config);
    return config.hiddenSize() * (attention + 3L * config.intermediateSize());
  }

  /**
   * Bytes a token that a layer's graph holds: both norms' inputs and normed values, the norms'
   * results, q, k, v as attention sees them, its result and that result put together, and four
   * times the MLP's inside (gate, its SiLU, up, their product).
   */
  private static long keptPerLayer(ModelConfig config, boolean half) {
    long hidden = config.hiddenSize();
    long norms = 4 * hidden + (config.qkNorm() ? 2 * (heads(config) + keys(config)) : 0);
    // Shared heads are spread out before attention.
    long attention = 5 * heads(config);
    long products = 2 * hidden + attention + 4L * config.intermediateSize();
    long sums = 2L + config.heads();
    return Float.BYTES * (norms + sums) + (half ? HALF : Float.BYTES) * products;
  }

  /** A sliding window's mask, one of booleans and one of numbers. */
  private static long masksPerLayer(ModelConfig config, int longest) {
    boolean masked = config.slidingWindow().orElse(Integer.MAX_VALUE) < longest;
    return masked ? (long) longest * longest * (1 + Float.BYTES) : 0;
  }

  private static long inputs(ModelConfig config, int every) {
    return (long) config.hiddenSize() * ((config.layers() + every - 1) / every);
  }

  /** Gradients of the MLP's inside and of its input, and of a layer's matrices. */
  private static long backwardOfLayer(
      ModelConfig config, boolean half, long tokens, long layerParameters) {
    long inside = (half ? HALF : Float.BYTES) * 3L * config.intermediateSize();
    return tokens * (inside + Float.BYTES * 3L * config.hiddenSize())
        + Float.BYTES * layerParameters;
  }

  /** In bfloat16 the head's weights, their gradient and a chunk exist once more. */
  private static long logits(ModelConfig config, ModelOptions options, boolean half, long tokens) {
    ChunkSize chunk = ChunkSize.of(Devices.find(options.device()), config.vocabularySize());
    long rows = Math.min(tokens, chunk.rows());
    long block = Math.min(tokens, chunk.blockRows());
    long hidden = 3 * tokens * config.hiddenSize();
    long wide = Float.BYTES * ((rows + block) * config.vocabularySize() + hidden);
    long halves = HALF * (rows + 2L * config.hiddenSize()) * config.vocabularySize();
    return half ? wide + halves : wide;
  }

  private static long labels(ModelConfig config, long tokens, int k) {
    boolean dense = k >= config.vocabularySize();
    long named = dense ? (long) Float.BYTES * k : (long) (Long.BYTES + Float.BYTES) * k;
    // Ids, positions, the row's place and token, and where a padded group has it, there and back.
    long indices = 6L * Long.BYTES;
    return tokens * (named + indices + (HeadSource.FACTS + HeadSource.RESULTS) * Float.BYTES);
  }
}
