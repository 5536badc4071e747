package io.reflux.bench.labels;

import io.reflux.bench.labels.Distributions.Row;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.Random;

/** What a scorer would say of rows, by encoding. */
final class Blocks {
  private Blocks() {}

  /**
   * Labels of a sequence.
   *
   * @param support [rows, size] of a support encoding: the student's likeliest ids
   */
  record Labels(LabelBlock block, int[] support) {}

  static Labels of(List<Row> rows, Encoding encoding, Random random) {
    int count = rows.size();
    int size = encoding.size();
    float[] token = new float[count];
    float[] entropy = new float[count];
    for (int i = 0; i < count; i++) {
      Row row = rows.get(i);
      token[i] = (float) Math.log(row.teacher()[row.token()]);
      entropy[i] = (float) row.entropy();
    }
    return switch (encoding.kind()) {
      case TOPK -> {
        int[] ids = flat(rows.stream().map(row -> largest(row.teacher(), size)).toList());
        yield new Labels(
            new TopKBlock(
                count,
                size,
                ids,
                logprobs(rows, ids, size),
                tails(rows, ids, size),
                token,
                entropy),
            new int[0]);
      }
      case SAMPLED -> {
        int[] drawn =
            flat(rows.stream().map(row -> new Draws(row.teacher()).next(size, random)).toList());
        yield new Labels(SampledBlock.of(count, size, drawn, token, entropy), new int[0]);
      }
      case SUPPORT -> {
        int[] ids = flat(rows.stream().map(row -> largest(row.student(), size)).toList());
        yield new Labels(
            new SupportBlock(
                count,
                size,
                SupportBlock.checksum(ids),
                logprobs(rows, ids, size),
                tails(rows, ids, size),
                token,
                entropy),
            ids);
      }
    };
  }

  /** Ids of the k largest, largest first. */
  static int[] largest(double[] values, int k) {
    PriorityQueue<Integer> kept =
        new PriorityQueue<>(k, Comparator.comparingDouble(id -> values[id]));
    for (int id = 0; id < values.length; id++) {
      if (kept.size() < k) {
        kept.add(id);
      } else if (values[id] > values[kept.peek()]) {
        kept.poll();
        kept.add(id);
      }
    }
    return kept.stream()
        .sorted(Comparator.comparingDouble((Integer id) -> values[id]).reversed())
        .mapToInt(Integer::intValue)
        .toArray();
  }

  /** Mass outside some ids, summed up, not subtracted from one. */
  static double massOutside(double[] probabilities, int[] ids) {
    boolean[] named = new boolean[probabilities.length];
    for (int id : ids) {
      named[id] = true;
    }
    double mass = 0;
    for (int j = 0; j < probabilities.length; j++) {
      mass += named[j] ? 0 : probabilities[j];
    }
    return mass;
  }

  private static int[] flat(List<int[]> rows) {
    return rows.stream().flatMapToInt(Arrays::stream).toArray();
  }

  private static float[] logprobs(List<Row> rows, int[] ids, int size) {
    float[] logprobs = new float[ids.length];
    for (int i = 0; i < ids.length; i++) {
      logprobs[i] = (float) Math.log(rows.get(i / size).teacher()[ids[i]]);
    }
    return logprobs;
  }

  private static float[] tails(List<Row> rows, int[] ids, int size) {
    float[] tails = new float[rows.size()];
    for (int i = 0; i < tails.length; i++) {
      int[] named = Arrays.copyOfRange(ids, i * size, (i + 1) * size);
      tails[i] = (float) Math.log(massOutside(rows.get(i).teacher(), named));
    }
    return tails;
  }
}
