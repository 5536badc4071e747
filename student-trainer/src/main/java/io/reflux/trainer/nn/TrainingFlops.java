package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.nn.Adaptation.Frozen;
import io.reflux.trainer.nn.Adaptation.Full;
import io.reflux.trainer.nn.Adaptation.Lora;

/**
 * Floating-point operations that training asks for, a token: the products of matrices alone. Norms,
 * the embedding, softmax, the loss, the optimizer and what checkpoints compute again do not count;
 * so a ratio to a machine's peak is the share that does useful work (MFU, arXiv 2204.02311).
 */
public final class TrainingFlops {
  /** A multiplication and an addition. */
  private static final double PRODUCT = 2;

  private final ModelConfig config;
  private final Adaptation adaptation;

  private TrainingFlops(ModelConfig config, Adaptation adaptation) {
    this.config = config;
    this.adaptation = adaptation;
  }

  /**
   * Forward and back: two operations a weight forward, two where a gradient goes back through it,
   * two where it has a gradient of its own; and attention's products over the positions that a
   * causal mask leaves.
   *
   * @param sequenceLength mean over tokens of the length of their sequences
   * @param rowsPerToken share of tokens whose successor is learned
   */
  public static double perToken(
      ModelConfig config, Adaptation adaptation, double sequenceLength, double rowsPerToken) {
    TrainingFlops flops = new TrainingFlops(config, adaptation);
    return flops.layers(sequenceLength) + flops.head() * rowsPerToken;
  }

  private double layers(double sequenceLength) {
    double reach = sequenceLength;
    if (config.slidingWindow().isPresent()) {
      // Every position sees its window; the triangle before it is full is left out of account.
      reach = Math.min(reach, 2.0 * config.slidingWindow().getAsInt());
    }
    // Half the positions on average, and as many products with keys as with values.
    double attention = PRODUCT * heads() * reach;
    double queries = (double) config.hiddenSize() * (heads() + 2 * keys());
    double matrices =
        queries + (double) config.hiddenSize() * (heads() + 3.0 * config.intermediateSize());
    double forward = PRODUCT * matrices + attention + PRODUCT * adapters();
    double sum = 0;
    for (int layer = 0; layer < config.layers(); layer++) {
      sum += forward;
      if (layer < firstReached()) {
        continue;
      }
      // Back through attention are twice as many products.
      sum += PRODUCT * matrices + 2 * attention + 2 * PRODUCT * adapters();
      if (layer == firstReached() && !embeddingsTrained()) {
        sum -= PRODUCT * queries;
      }
      sum += trainsMatrices(layer) ? PRODUCT * matrices : 0;
    }
    return sum;
  }

  private double head() {
    double forward = PRODUCT * config.hiddenSize() * config.vocabularySize();
    return (headTrained() ? 3 : 2) * forward;
  }

  /** Weights of a layer's adapters. */
  private double adapters() {
    if (!(adaptation instanceof Lora lora)) {
      return 0;
    }
    double hidden = config.hiddenSize();
    double inner = config.intermediateSize();
    double sum = 0;
    for (Lora.Target target : lora.targets()) {
      sum +=
          lora.rank()
              * switch (target) {
                case Q, O -> hidden + heads();
                case K, V -> hidden + keys();
                case GATE, UP, DOWN -> hidden + inner;
              };
    }
    return sum;
  }

  /** The first layer that the way back goes through. */
  private int firstReached() {
    return adaptation instanceof Frozen frozen && frozen.embeddings() ? frozen.layers() : 0;
  }

  private boolean trainsMatrices(int layer) {
    return adaptation instanceof Full
        || (adaptation instanceof Frozen frozen && layer >= frozen.layers());
  }

  private boolean embeddingsTrained() {
    return adaptation instanceof Full
        || (adaptation instanceof Frozen frozen && !frozen.embeddings());
  }

  private boolean headTrained() {
    return adaptation instanceof Full
        || (adaptation instanceof Frozen frozen
            && !(frozen.embeddings() && config.tiedEmbeddings()));
  }

  private double heads() {
    return (double) config.heads() * config.headSize();
  }

  private double keys() {
    return (double) config.keyValueHeads() * config.headSize();
  }
}
