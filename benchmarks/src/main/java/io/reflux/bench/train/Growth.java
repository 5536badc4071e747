package io.reflux.bench.train;

import io.reflux.bench.Result;
import io.reflux.bench.train.Trainee.Way;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * The largest batch that fits a budget of memory. Every try is a process of its own that takes
 * whole steps and is held against the budget by its peak; memory grows evenly with the batch, so
 * that a line through two tries says where to look.
 */
final class Growth {
  private static final double MIB = 1 << 20;

  private final Size size;
  private final Probes probes;
  private final PrintWriter progress;

  /**
   * What to measure.
   *
   * @param length tokens a sequence; batches are whole sequences
   * @param budgetMiB that the process may grow by, weights, gradients and moments included
   * @param most sequences that are tried
   */
  record Size(String shape, int vocabulary, int length, double budgetMiB, int most) {}

  Growth(Size size, Probes probes, PrintWriter progress) {
    this.size = size;
    this.probes = probes;
    this.progress = progress;
  }

  void measure(Result.Builder result) throws IOException, InterruptedException {
    List<List<Object>> rows = new ArrayList<>();
    int[] largest = new int[Way.values().length];
    for (Way way : Way.values()) {
      NavigableMap<Integer, Double> tries = new TreeMap<>();
      largest[way.ordinal()] = largest(way, tries);
      int fits = largest[way.ordinal()];
      rows.add(
          Arrays.asList(
              way.name().toLowerCase(Locale.ROOT),
              (long) fits * size.length(),
              fits == 0 ? null : tries.get(fits),
              tries.size()));
    }
    double plain = largest[Way.FUSED.ordinal()];
    if (plain == 0 || largest[Way.NAIVE.ordinal()] == 0) {
      throw new RefluxException(
          "bench: not one sequence fits %.0f MiB (expected: a larger budget)"
              .formatted(size.budgetMiB()));
    }
    double lean = largest[Way.OFFLOADED.ordinal()];
    result
        .sample("batch_growth", lean / plain, "")
        .sample("batch_growth_by_checkpoints", largest[Way.CHECKPOINTED.ordinal()] / plain, "")
        .sample("batch_growth_over_naive", lean / largest[Way.NAIVE.ordinal()], "")
        .table(
            new Result.Table(
                "largest_batch", List.of("way", "tokens", "peak_growth_mib", "tries"), rows))
        .condition(
            "batch_growth",
            ("%s, V %d, sequences of %d tokens; the process may grow by %.0f MiB, weights,"
                    + " gradients and moments included; checkpoints and offload over neither, both"
                    + " with the fused loss")
                .formatted(size.shape(), size.vocabulary(), size.length(), size.budgetMiB()));
  }

  /** 0 if nothing fits. */
  private int largest(Way way, NavigableMap<Integer, Double> tries)
      throws IOException, InterruptedException {
    attempt(way, 1, tries);
    if (tries.get(1) > size.budgetMiB()) {
      return 0;
    }
    if (size.most() == 1) {
      return 1;
    }
    int second = Math.min(size.most(), 4);
    attempt(way, second, tries);
    int fits = tries.get(second) <= size.budgetMiB() ? second : 1;
    int misses = tries.get(second) <= size.budgetMiB() ? size.most() + 1 : second;
    while (misses - fits > Math.max(1, fits / 40)) {
      int guess = Math.max(fits + 1, Math.min(misses - 1, guess(fits, misses, tries)));
      if (attempt(way, guess, tries) <= size.budgetMiB()) {
        fits = guess;
      } else {
        misses = guess;
      }
    }
    return fits;
  }

  /**
   * Where a line meets the budget: between the largest batch that fits and the smallest that does
   * not, or on through the two largest while all fit. Never next to either end of a wide bracket,
   * since peaks scatter and a line that is a little wrong would creep.
   */
  private int guess(int fits, int misses, NavigableMap<Integer, Double> tries) {
    boolean bracketed = tries.containsKey(misses);
    int a = bracketed ? fits : tries.lowerKey(fits);
    int b = bracketed ? misses : fits;
    double slope = (tries.get(b) - tries.get(a)) / (b - a);
    double at = fits + (size.budgetMiB() - tries.get(fits)) / Math.max(slope, 1e-3);
    double margin = bracketed ? 0.1 * (misses - fits) : 0;
    return (int) Math.floor(Math.max(fits + margin, Math.min(misses - margin, at)));
  }

  private double attempt(Way way, int sequences, NavigableMap<Integer, Double> tries)
      throws IOException, InterruptedException {
    double grown =
        probes.growth("step", way, size.shape(), size.vocabulary(), sequences, size.length()) / MIB;
    progress.printf(
        Locale.ROOT,
        "largest batch, %s: %d x %d tokens take %.0f of %.0f MiB%n",
        way.name().toLowerCase(Locale.ROOT),
        sequences,
        size.length(),
        grown,
        size.budgetMiB());
    progress.flush();
    tries.put(sequences, grown);
    return grown;
  }
}
