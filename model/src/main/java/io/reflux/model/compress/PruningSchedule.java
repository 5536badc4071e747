package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.compress.PruningTarget.Part;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * When a model that is being trained is cut, and to what: a little at a time, so that distillation
 * between the cuts makes up for each (arXiv 2502.14305). Shares are of the dense model throughout.
 *
 * @param ramps one for each part that is cut
 */
public record PruningSchedule(List<Ramp> ramps) {
  /** Cuts nothing. */
  public static final PruningSchedule NONE = new PruningSchedule(List.of());

  /** Cuts of a ramp that does not say how many. */
  public static final int DEFAULT_CUTS = 4;

  private static final String FORM = "part:share@step or part:share@first..last/cuts";

  public PruningSchedule {
    ramps = List.copyOf(ramps);
    Set<Part> seen = EnumSet.noneOf(Part.class);
    for (Ramp ramp : ramps) {
      if (!seen.add(ramp.part())) {
        throw new ModelException("pruning schedule: " + ramp.part() + " twice (expected: once)");
      }
    }
  }

  /**
   * Cuts of equal size at even distances.
   *
   * @param part that is cut
   * @param share of it that is left at the end
   * @param first step before which the first cut is made
   * @param last step before which the last cut is made
   * @param cuts at least 1; 1 only when first and last are the same
   */
  public record Ramp(Part part, double share, long first, long last, int cuts) {
    public Ramp {
      boolean fits =
          share > 0 && share <= 1 && first >= 0 && last >= first && last - first >= cuts - 1;
      if (!fits || cuts < 1 || (cuts == 1) != (first == last)) {
        throw new ModelException(
            "pruning schedule: %s:%s@%d..%d/%d (expected: a share above 0, at most 1; cuts at steps of their own, from first to last)"
                .formatted(part, share, first, last, cuts));
      }
    }

    /** The step before which a cut is made, of those numbered from 0. */
    long stepOf(int cut) {
      return cuts == 1 ? first : first + Math.round((double) (last - first) * cut / (cuts - 1));
    }

    /** The share that is left before a step is taken. */
    double shareAt(long step) {
      int made = 0;
      while (made < cuts && stepOf(made) <= step) {
        made++;
      }
      return made == cuts ? share : 1 - (1 - share) * made / cuts;
    }

    @Override
    public String toString() {
      String when = cuts == 1 ? Long.toString(first) : first + ".." + last + "/" + cuts;
      return part + ":" + share + "@" + when;
    }
  }

  /**
   * Reads {@code neurons:0.75@2000..8000,kv:0.5@9000}: 4 cuts at steps 2000, 4000, 6000 and 8000
   * until three quarters of the neurons are left, and half of the key-value groups at step 9000.
   * {@code @2000..8000/7} makes 7 cuts. Nothing at all, or {@code none}, cuts nothing.
   *
   * @throws ModelException one line that names what does not fit
   */
  public static PruningSchedule parse(String text) {
    if (text.isBlank() || text.strip().equals("none")) {
      return NONE;
    }
    List<Ramp> ramps = new ArrayList<>();
    for (String one : text.split(",", -1)) {
      ramps.add(parseRamp(one.strip()));
    }
    return new PruningSchedule(ramps);
  }

  /** Whether nothing is ever cut. */
  public boolean isEmpty() {
    return ramps.isEmpty();
  }

  /** Steps before which something may be cut, ascending; rounding may leave one without a cut. */
  public List<Long> steps() {
    Set<Long> steps = new TreeSet<>();
    for (Ramp ramp : ramps) {
      for (int cut = 0; cut < ramp.cuts(); cut++) {
        steps.add(ramp.stepOf(cut));
      }
    }
    return List.copyOf(steps);
  }

  /** The shares that are left when a step is taken. */
  public PruningTarget targetAt(long step) {
    Map<Part, Double> shares = new EnumMap<>(Part.class);
    ramps.forEach(ramp -> shares.put(ramp.part(), ramp.shareAt(step)));
    return new PruningTarget(shares);
  }

  /**
   * The shape that a model has when a step is taken. It follows from the step alone: who resumes at
   * a step knows it.
   *
   * @param step steps done before it
   * @param dense the model before any cut
   */
  public PrunedShape shapeAt(long step, ModelConfig dense) {
    return targetAt(step).shape(dense);
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    return ramps.isEmpty() ? "none" : String.join(",", ramps.stream().map(Ramp::toString).toList());
  }

  private static Ramp parseRamp(String text) {
    int colon = text.indexOf(':');
    int at = text.indexOf('@');
    if (colon < 0 || at < colon) {
      throw new ModelException("pruning schedule: %s (expected: %s)".formatted(text, FORM));
    }
    Part part = Part.parse(text.substring(0, colon));
    double share = PruningTarget.parseShare(part, text.substring(colon + 1, at));
    String when = text.substring(at + 1);
    int dots = when.indexOf("..");
    try {
      if (dots < 0) {
        long step = Long.parseLong(when.strip());
        return new Ramp(part, share, step, step, 1);
      }
      int slash = when.indexOf('/', dots);
      long first = Long.parseLong(when.substring(0, dots).strip());
      long last =
          Long.parseLong(when.substring(dots + 2, slash < 0 ? when.length() : slash).strip());
      int cuts = slash < 0 ? DEFAULT_CUTS : Integer.parseInt(when.substring(slash + 1).strip());
      return new Ramp(part, share, first, last, cuts);
    } catch (NumberFormatException e) {
      throw new ModelException("pruning schedule: %s (expected: %s)".formatted(text, FORM), e);
    }
  }
}
