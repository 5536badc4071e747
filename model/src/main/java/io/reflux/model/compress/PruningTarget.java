package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Which share of each kind of part is kept.
 *
 * @param shares above 0, at most 1; kinds that are not named are kept whole
 */
public record PruningTarget(Map<Part, Double> shares) {
  /** Neurons are kept in multiples of this, which is what matrix kernels and formats like. */
  public static final int NEURON_MULTIPLE = 32;

  /** What can be removed from a model. */
  public enum Part {
    /** Of the feed-forward parts. */
    NEURONS,
    /** Key-value heads with the query heads that read them. */
    KV,
    /** Whole blocks. */
    LAYERS;

    /** As it is written in a target: {@code neurons}, {@code kv} or {@code layers}. */
    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }

    static Part parse(String text) {
      for (Part part : values()) {
        if (part.toString().equals(text.strip().toLowerCase(Locale.ROOT))) {
          return part;
        }
      }
      throw new ModelException("part: " + text + " (expected: neurons, kv or layers)");
    }
  }

  public PruningTarget {
    shares = Map.copyOf(shares);
    shares.forEach(PruningTarget::check);
  }

  /**
   * Reads {@code neurons:0.75,kv:0.5,layers:0.9}: shares to keep, each part at most once.
   *
   * @throws ModelException one line that names what does not fit
   */
  public static PruningTarget parse(String text) {
    Map<Part, Double> shares = new EnumMap<>(Part.class);
    for (String one : text.split(",", -1)) {
      int colon = one.indexOf(':');
      if (colon < 0) {
        throw new ModelException(
            "pruning target: %s (expected: part:share, as in neurons:0.75)".formatted(one));
      }
      Part part = Part.parse(one.substring(0, colon));
      if (shares.put(part, parseShare(part, one.substring(colon + 1))) != null) {
        throw new ModelException("pruning target: " + part + " twice (expected: once)");
      }
    }
    return new PruningTarget(shares);
  }

  /**
   * The shape that a model is cut to: neurons rounded to a multiple of {@link #NEURON_MULTIPLE},
   * the rest to a whole number, halves down; never to nothing.
   */
  public PrunedShape shape(ModelConfig dense) {
    return new PrunedShape(
        kept(Part.LAYERS, dense.layers(), 1),
        kept(Part.NEURONS, dense.intermediateSize(), NEURON_MULTIPLE),
        kept(Part.KV, dense.keyValueHeads(), 1));
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    List<String> parts = new ArrayList<>();
    for (Part part : Part.values()) {
      if (shares.containsKey(part)) {
        parts.add(part + ":" + shares.get(part));
      }
    }
    return String.join(",", parts);
  }

  static double parseShare(Part part, String text) {
    try {
      double share = Double.parseDouble(text.strip());
      check(part, share);
      return share;
    } catch (NumberFormatException e) {
      throw new ModelException(
          "pruning target: %s:%s (expected: a share above 0, at most 1)".formatted(part, text), e);
    }
  }

  private static void check(Part part, double share) {
    if (!(share > 0 && share <= 1)) {
      throw new ModelException(
          "pruning target: %s:%s (expected: a share above 0, at most 1)".formatted(part, share));
    }
  }

  private int kept(Part part, int all, int multiple) {
    double share = shares.getOrDefault(part, 1.0);
    if (share == 1) {
      return all;
    }
    long multiples = Math.max(1, (long) Math.ceil(all * share / multiple - 0.5));
    return (int) Math.min(all, multiples * multiple);
  }
}
