package io.reflux.trainer.nn;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Which numbers of a model training moves. What it does not move has no gradient and no moments.
 */
public sealed interface Adaptation {
  /** Everything is trained. */
  Adaptation FULL = new Full();

  /**
   * From configuration.
   *
   * @param frozenLayers the first so many layers stay as they are; 0 for none
   * @param frozenEmbeddings whether, if any layer does, the embeddings do too
   * @param rank of adapters; 0 for none
   * @param alpha strength of adapters
   * @param targets matrices with adapters: of {@code q,k,v,o,gate,up,down}
   * @param seed of new adapters
   * @throws ModelException if they do not go together
   */
  static Adaptation parse(
      int frozenLayers,
      boolean frozenEmbeddings,
      int rank,
      double alpha,
      String targets,
      long seed) {
    if (frozenLayers < 0) {
      throw new ModelException("frozen-layers: " + frozenLayers + " (expected: 0 or more)");
    }
    if (rank < 0) {
      throw new ModelException("lora rank: " + rank + " (expected: 0 or more)");
    }
    if (rank > 0 && frozenLayers > 0) {
      throw new ModelException(
          "frozen-layers: %d with lora rank %d (expected: one of them, for adapters freeze every layer)"
              .formatted(frozenLayers, rank));
    }
    if (rank > 0) {
      return new Lora(rank, alpha, Lora.parseTargets(targets), seed);
    }
    return frozenLayers == 0 ? FULL : new Frozen(frozenLayers, frozenEmbeddings);
  }

  /** Refuses a model that this cannot be done to. */
  void check(ModelConfig config);

  /** What checkpoints call it. */
  @Override
  String toString();

  /** Everything is trained. */
  record Full() implements Adaptation {
    @Override
    public void check(ModelConfig config) {}

    @Override
    public String toString() {
      return "full";
    }
  }

  /**
   * The first layers stay as they are.
   *
   * @param layers how many of them
   * @param embeddings whether the embeddings do too; then the way back ends at the first layer that
   *     is trained. A head that is tied to them is frozen with them
   */
  record Frozen(int layers, boolean embeddings) implements Adaptation {
    public Frozen {
      if (layers < 1) {
        throw new ModelException("frozen-layers: " + layers + " (expected: 1 or more)");
      }
    }

    @Override
    public void check(ModelConfig config) {
      if (layers >= config.layers()) {
        throw new ModelException(
            "frozen-layers: %d (expected: fewer than the student's %d layers)"
                .formatted(layers, config.layers()));
      }
    }

    @Override
    public String toString() {
      return "frozen: %d layers%s".formatted(layers, embeddings ? " and embeddings" : "");
    }
  }

  /**
   * Low-rank adapters beside frozen matrices (LoRA, arXiv 2106.09685): y = xWᵀ +
   * (alpha/rank)(xAᵀ)Bᵀ with A [rank, inputs] and B [outputs, rank]. A starts Gaussian with
   * variance 1/inputs, B zero, so that a new adapter changes nothing.
   *
   * @param rank of the products
   * @param alpha strength
   * @param targets matrices that have one, in every layer
   * @param seed of A
   */
  record Lora(int rank, double alpha, Set<Target> targets, long seed) implements Adaptation {
    /** A matrix of a layer. */
    public enum Target {
      Q,
      K,
      V,
      O,
      GATE,
      UP,
      DOWN;

      /** As configuration names it. */
      @Override
      public String toString() {
        return name().toLowerCase(Locale.ROOT);
      }
    }

    public Lora {
      if (rank < 1) {
        throw new ModelException("lora rank: " + rank + " (expected: 1 or more)");
      }
      if (!(alpha > 0 && Double.isFinite(alpha))) {
        throw new ModelException("lora alpha: " + alpha + " (expected: above 0)");
      }
      if (targets.isEmpty()) {
        throw new ModelException("lora targets: none (expected: some of %s)".formatted(all()));
      }
      targets = Set.copyOf(targets);
    }

    static Set<Target> parseTargets(String text) {
      EnumSet<Target> targets = EnumSet.noneOf(Target.class);
      for (String name : text.split(",")) {
        targets.add(parseTarget(name.strip()));
      }
      return targets;
    }

    private static Target parseTarget(String name) {
      for (Target target : Target.values()) {
        if (target.toString().equals(name)) {
          return target;
        }
      }
      throw new ModelException("lora target: %s (expected: of %s)".formatted(name, all()));
    }

    private static String all() {
      return names(EnumSet.allOf(Target.class));
    }

    private static String names(Set<Target> targets) {
      return targets.stream().sorted().map(Target::toString).collect(Collectors.joining(","));
    }

    @Override
    public void check(ModelConfig config) {
      int narrowest = Math.min(config.hiddenSize(), config.keyValueHeads() * config.headSize());
      if (rank > narrowest) {
        throw new ModelException(
            "lora rank: %d (expected: at most %d, the student's narrowest matrix)"
                .formatted(rank, narrowest));
      }
    }

    /** How much of the adapters' product is added. */
    double scale() {
      return alpha / rank;
    }

    /** Without the seed, which a state has no more use for. */
    @Override
    public String toString() {
      return "lora: rank %d, alpha %s, %s".formatted(rank, alpha, names(targets));
    }
  }
}
