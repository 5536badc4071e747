package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How the tokens of a batch lie: flat, sequence after sequence in order of length, without padding.
 * Attention alone needs sequences side by side, and works on groups of them, a group padded on the
 * right to its longest.
 */
final class Packing {
  /**
   * What one more group costs, in padded products of attention, positions squared. Fifteen times as
   * much was measured to make no difference on requests of 10 to 40 tokens; so little padding is
   * preferred to few groups.
   */
  private static final double GROUP_COST = 20_000;

  /** What a position costs that is spread out and taken back, in the same measure. */
  private static final double SPREAD_COST = 16;

  private final int[] lengths;
  private final long[] tokenIds;
  private final long[] positions;
  private final long[] groups;
  private final long[] spread;
  private final long[] keep;
  private final long[] rowPositions;

  Packing(List<TrainingSequence> batch) {
    this(
        batch.stream().map(TrainingSequence::tokenIds).toArray(int[][]::new),
        batch.stream().mapToInt(TrainingSequence::firstPosition).toArray());
  }

  private Packing(int[][] sequences, int[] firstPositions) {
    int[] order =
        IntStream.range(0, sequences.length)
            .boxed()
            .sorted(Comparator.comparingInt(s -> sequences[s].length))
            .mapToInt(Integer::intValue)
            .toArray();
    lengths = IntStream.of(order).map(s -> sequences[s].length).toArray();
    tokenIds = new long[IntStream.of(lengths).sum()];
    positions = new long[tokenIds.length];
    int[] starts = new int[sequences.length];
    int next = 0;
    for (int s : order) {
      starts[s] = next;
      for (int t = 0; t < sequences[s].length; t++, next++) {
        tokenIds[next] = sequences[s][t];
        positions[next] = t;
      }
    }
    rowPositions = rowPositions(sequences, firstPositions, starts);
    int[] ends = groupEnds(lengths);
    groups = new long[3 * ends.length];
    long spreadSize = 0;
    long keepSize = 0;
    for (int g = 0, first = 0; g < ends.length; first = ends[g], g++) {
      long padded = (long) (ends[g] - first) * lengths[ends[g] - 1];
      long real = tokens(first, ends[g]);
      groups[3 * g] = ends[g] - first;
      groups[3 * g + 1] = lengths[ends[g] - 1];
      groups[3 * g + 2] = real;
      spreadSize += padded == real ? 0 : padded;
      keepSize += padded == real ? 0 : real;
    }
    spread = new long[Math.toIntExact(spreadSize)];
    keep = new long[Math.toIntExact(keepSize)];
    arrange(ends);
  }

  /** One sequence of which no row is wanted. */
  static Packing of(int[] tokenIds) {
    return new Packing(new int[][] {tokenIds}, new int[] {tokenIds.length});
  }

  /** Tokens of the longest sequence; 0 without any. */
  int longest() {
    return lengths.length == 0 ? 0 : lengths[lengths.length - 1];
  }

  int tokens() {
    return tokenIds.length;
  }

  /** [tokens]. */
  long[] tokenIds() {
    return tokenIds;
  }

  /** Positions that attention works on, padding included. */
  long attendedPositions() {
    return IntStream.range(0, groups.length / 3)
        .mapToLong(g -> groups[3 * g] * groups[3 * g + 1])
        .sum();
  }

  /** Groups of sequences that attention takes side by side. */
  int groups() {
    return groups.length / 3;
  }

  /** [rows], index of the token that predicts the row, in the order of the batch's sequences. */
  long[] rowPositions() {
    return rowPositions;
  }

  /**
   * In the order of the kernel's inputs: ids [tokens], positions [tokens], groups [groups, 3] of
   * sequences, padded length and real tokens; and for the groups that have padding, one after
   * another, the token at each padded position and the padded positions that are real. Behind the
   * tokens come a few sequences of a single token that no row asks for, so that {@link Rounded the
   * count} is one of few.
   */
  List<NDArray> tensors(NDManager manager) {
    int filled = Rounded.up(tokenIds.length);
    int fillers = filled - tokenIds.length;
    int rows = groups() + (fillers == 0 ? 0 : 1);
    long[] table = Arrays.copyOf(groups, 3 * rows);
    if (fillers > 0) {
      table[groups.length] = fillers;
      table[groups.length + 1] = 1;
      table[groups.length + 2] = fillers;
    }
    return List.of(
        TorchArrays.longs(manager, Arrays.copyOf(tokenIds, filled), filled),
        TorchArrays.longs(manager, Arrays.copyOf(positions, filled), filled),
        TorchArrays.longs(manager, table, rows, 3),
        TorchArrays.longs(manager, spread, spread.length),
        TorchArrays.longs(manager, keep, keep.length));
  }

  /** Fills spread and keep; both count from the group's first token. */
  private void arrange(int[] ends) {
    int spreadAt = 0;
    int keepAt = 0;
    for (int g = 0, first = 0; g < ends.length; first = ends[g], g++) {
      int longest = lengths[ends[g] - 1];
      if (tokens(first, ends[g]) == (long) (ends[g] - first) * longest) {
        continue;
      }
      int token = 0;
      for (int s = first; s < ends[g]; s++) {
        for (int t = 0; t < longest; t++) {
          // Padding repeats the sequence's last token, which is at hand and never asked for it.
          spread[spreadAt++] = token + Math.min(t, lengths[s] - 1);
          if (t < lengths[s]) {
            keep[keepAt++] = (long) (s - first) * longest + t;
          }
        }
        token += lengths[s];
      }
    }
  }

  private long tokens(int first, int end) {
    return IntStream.range(first, end).mapToLong(s -> lengths[s]).sum();
  }

  private static long[] rowPositions(int[][] sequences, int[] firstPositions, int[] starts) {
    int rows =
        IntStream.range(0, sequences.length)
            .map(s -> sequences[s].length - firstPositions[s])
            .sum();
    long[] at = new long[rows];
    int row = 0;
    for (int s = 0; s < sequences.length; s++) {
      for (int t = firstPositions[s]; t < sequences[s].length; t++, row++) {
        at[row] = (long) starts[s] + t - 1;
      }
    }
    return at;
  }

  /**
   * The cheapest cut of sorted lengths into groups, by dynamic programming over the places where
   * the length changes.
   */
  private static int[] groupEnds(int[] lengths) {
    int[] cuts =
        IntStream.rangeClosed(1, lengths.length)
            .filter(end -> end == lengths.length || lengths[end] != lengths[end - 1])
            .toArray();
    double[] best = new double[cuts.length + 1];
    int[] from = new int[cuts.length + 1];
    Arrays.fill(best, 1, best.length, Double.POSITIVE_INFINITY);
    for (int last = 1; last <= cuts.length; last++) {
      int end = cuts[last - 1];
      double length = lengths[end - 1];
      for (int before = last - 1; before >= 0; before--) {
        int first = before == 0 ? 0 : cuts[before - 1];
        double padded = (end - first) * length;
        boolean uniform = before == last - 1;
        double cost = GROUP_COST + padded * (length + (uniform ? 0 : SPREAD_COST));
        if (best[before] + cost < best[last]) {
          best[last] = best[before] + cost;
          from[last] = before;
        }
      }
    }
    Deque<Integer> ends = new ArrayDeque<>();
    for (int last = cuts.length; last > 0; last = from[last]) {
      ends.addFirst(cuts[last - 1]);
    }
    return ends.stream().mapToInt(Integer::intValue).toArray();
  }
}
