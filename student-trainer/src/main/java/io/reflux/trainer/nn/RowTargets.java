package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the rows of a batch are compared with, and by what weight, in the order that the head takes
 * them: rows that are treated alike lie together, and rows without a weight are not there.
 */
final class RowTargets {
  /** The most unlikely that a named id counts as; its probability is 0 in any arithmetic here. */
  private static final float LEAST_NAMED = -1e4f;

  /** Below it there is no tail bucket in forward KL. */
  private static final float LEAST_TAIL = -30;

  /** What an unknown tail counts as outside forward KL: the rounding of a teacher elsewhere. */
  private static final double UNKNOWN_TAIL = Math.log(1e-5);

  private final int vocabularySize;
  private final List<TrainingSequence> batch;
  private final List<Segment> segments;
  private final int rows;

  /** Of each row: its sequence, its place in it, and both as the packing counts all rows. */
  private final int[] sequenceOf;

  private final int[] placeOf;
  private final int[] packedRow;

  private final long[] tokens;
  private final float[] facts;
  private final long[] ids;
  private final float[] logprobs;
  private final float[] dense;
  private final double[] klOffsets;

  /** Rows that are treated alike. */
  private static final class Segment {
    final HeadTerms terms;
    final boolean dense;
    int k;
    int rows;
    int firstRow;
    int firstId;
    int firstDense;
    boolean hasCrossEntropy;

    Segment(HeadTerms terms, boolean dense) {
      this.terms = terms;
      this.dense = dense;
    }
  }

  private record Kind(HeadTerms terms, boolean dense) {}

  RowTargets(List<TrainingSequence> batch, int vocabularySize, double totalWeight) {
    this.vocabularySize = vocabularySize;
    this.batch = List.copyOf(batch);
    Map<Kind, Segment> byKind = new LinkedHashMap<>();
    Segment[] segmentOf = new Segment[batch.size()];
    int counted = 0;
    for (int s = 0; s < batch.size(); s++) {
      TrainingSequence sequence = batch.get(s);
      int weighted = weightedRows(sequence);
      if (weighted == 0) {
        continue;
      }
      counted += weighted;
      Kind kind = new Kind(HeadTerms.of(sequence), sequence.targets() instanceof DenseTargets);
      segmentOf[s] = byKind.computeIfAbsent(kind, key -> new Segment(key.terms(), key.dense()));
      segmentOf[s].rows += weighted;
      if (sequence.targets() instanceof NamedTargets named) {
        segmentOf[s].k = Math.max(segmentOf[s].k, named.k());
      }
    }
    rows = counted;
    segments = List.copyOf(byKind.values());
    int entries = 0;
    int denseRows = 0;
    int first = 0;
    for (Segment segment : segments) {
      segment.firstRow = first;
      segment.firstId = entries;
      segment.firstDense = denseRows;
      first += segment.rows;
      entries = Math.addExact(entries, Math.multiplyExact(segment.rows, segment.k));
      denseRows += segment.dense ? segment.rows : 0;
    }
    sequenceOf = new int[rows];
    placeOf = new int[rows];
    packedRow = new int[rows];
    tokens = new long[rows];
    facts = new float[rows * HeadSource.FACTS];
    ids = new long[entries];
    logprobs = new float[entries];
    dense = new float[Math.multiplyExact(denseRows, vocabularySize)];
    klOffsets = new double[rows];
    put(segmentOf, totalWeight == 0 ? 0 : 1 / totalWeight);
  }

  /** With a weight. */
  int rows() {
    return rows;
  }

  /** Where the head's rows are among all rows of the packing. */
  long[] select(long[] ofAllRows) {
    return Arrays.stream(packedRow).mapToLong(row -> ofAllRows[row]).toArray();
  }

  /** In the order of the kernel's inputs. */
  List<NDArray> tensors(NDManager manager) {
    return tensors(manager, ChunkSize.of(manager.getDevice(), vocabularySize));
  }

  /** With chunks of a given size. */
  List<NDArray> tensors(NDManager manager, ChunkSize size) {
    List<HeadTerms> terms = new ArrayList<>();
    int[] firstTerms = new int[segments.size()];
    int lines = 0;
    for (int i = 0; i < segments.size(); i++) {
      firstTerms[i] = lines;
      lines += segments.get(i).terms.lines();
      terms.add(segments.get(i).terms);
    }
    double[] table = terms.stream().flatMapToDouble(HeadTerms::table).toArray();
    long[] plan = plan(firstTerms, size);
    return List.of(
        TorchArrays.longs(manager, tokens, rows),
        TorchArrays.floats(manager, facts, rows, HeadSource.FACTS),
        TorchArrays.longs(manager, ids, ids.length),
        TorchArrays.floats(manager, logprobs, logprobs.length),
        TorchArrays.floats(manager, dense, dense.length / vocabularySize, vocabularySize),
        TorchArrays.longs(manager, plan, plan.length / HeadSource.PLAN, HeadSource.PLAN),
        TorchArrays.table(manager, table, lines, HeadSource.TERM_COLUMNS));
  }

  /**
   * What the kernel's rows come to.
   *
   * @param results [rows, {@link HeadSource#RESULTS}], as the kernel returns them
   */
  Losses losses(float[] results) {
    LossSums sums = new LossSums();
    for (int row = 0; row < rows; row++) {
      sums.add(batch.get(sequenceOf[row]), placeOf[row], klOffsets[row], results, row);
    }
    return sums.losses();
  }

  private void put(Segment[] segmentOf, double scale) {
    int[] next = segments.stream().mapToInt(segment -> segment.firstRow).toArray();
    int packed = 0;
    for (int s = 0; s < batch.size(); s++) {
      TrainingSequence sequence = batch.get(s);
      for (int i = 0; i < sequence.rows(); i++, packed++) {
        if (sequence.weight(i) > 0) {
          Segment segment = segmentOf[s];
          int row = next[segments.indexOf(segment)]++;
          sequenceOf[row] = s;
          placeOf[row] = i;
          packedRow[row] = packed;
          putRow(segment, row, sequence, i, sequence.weight(i) * scale);
        }
      }
    }
  }

  private void putRow(
      Segment segment, int row, TrainingSequence sequence, int place, double weight) {
    tokens[row] = sequence.tokenIds()[sequence.firstPosition() + place];
    Targets targets = sequence.targets();
    double share = sequence.crossEntropyShare();
    fact(row, HeadSource.CE_WEIGHT, share * weight);
    fact(row, HeadSource.KD_WEIGHT, (1 - share) * weight);
    segment.hasCrossEntropy |= share > 0;
    if (sequence.behaviour() != null) {
      fact(row, HeadSource.BEHAVIOUR, known("behaviour", sequence.behaviour().logprobs()[place]));
      fact(row, HeadSource.CLIP, sequence.behaviour().clip());
    }
    if (targets != null && sequence.objective().needsTokenLogprobs()) {
      float logprob = known("tokenLogprobs", targets.tokenLogprobs()[place]);
      fact(row, HeadSource.TOKEN_LOGPROB, Math.max(logprob, HeadSource.LEAST_LOGPROB));
    }
    int inSegment = row - segment.firstRow;
    if (targets instanceof DenseTargets full) {
      System.arraycopy(
          full.logprobs(),
          place * vocabularySize,
          dense,
          (segment.firstDense + inSegment) * vocabularySize,
          vocabularySize);
    } else if (targets instanceof NamedTargets named) {
      putNamed(row, segment.firstId + inSegment * segment.k, segment.k, named, place);
    }
  }

  private void putNamed(int row, int at, int k, NamedTargets targets, int place) {
    int from = place * targets.k();
    int drawnOnce = 0;
    for (int j = 0; j < k; j++) {
      boolean repeats = j > 0 && j < targets.k() && targets.ids()[from + j] == targets.ids()[from];
      if (j < targets.k() && !repeats) {
        float logprob = known("logprobs", targets.logprobs()[from + j]);
        ids[at + j] = targets.ids()[from + j];
        logprobs[at + j] = Math.max(logprob, LEAST_NAMED);
        drawnOnce += Math.round(Math.exp(logprob) * targets.draws()) == 1 ? 1 : 0;
      } else {
        // A repeated id of log-prob -infinity: the kernels see it and leave it out.
        ids[at + j] = targets.k() == 0 ? 0 : targets.ids()[from];
        logprobs[at + j] = Float.NEGATIVE_INFINITY;
      }
    }
    float tail = targets.tailLogMass()[place];
    // False for a tail that is not a number.
    boolean hasTail = targets.draws() == 0 && tail >= LEAST_TAIL;
    fact(row, HeadSource.TAIL, hasTail ? tail : Float.NEGATIVE_INFINITY);
    if (targets.draws() > 0) {
      double undrawn = Math.max(drawnOnce, 0.5) / (targets.draws() + 1);
      fact(row, HeadSource.BOUNDED_TAIL, Math.log(undrawn));
      fact(row, HeadSource.SHIFT, Math.log1p(-undrawn));
    } else {
      double bounded = Float.isNaN(tail) ? UNKNOWN_TAIL : Math.max(tail, HeadSource.LEAST_LOGPROB);
      fact(row, HeadSource.BOUNDED_TAIL, bounded);
    }
    klOffsets[row] = targets.klOffsets() == null ? 0 : targets.klOffsets()[place];
  }

  private void fact(int row, int column, double value) {
    facts[row * HeadSource.FACTS + column] = (float) value;
  }

  /** Every segment in chunks of like size. */
  private long[] plan(int[] firstTerms, ChunkSize size) {
    List<long[]> steps = new ArrayList<>();
    for (int i = 0; i < segments.size(); i++) {
      Segment segment = segments.get(i);
      int chunks = (segment.rows + size.rows() - 1) / size.rows();
      for (int c = 0; c < chunks; c++) {
        int from = (int) ((long) segment.rows * c / chunks);
        int to = (int) ((long) segment.rows * (c + 1) / chunks);
        long[] step = new long[HeadSource.PLAN];
        step[HeadSource.FIRST_ROW] = segment.firstRow + from;
        step[HeadSource.ROWS] = to - from;
        step[HeadSource.BLOCK_ROWS] = Math.min(size.blockRows(), to - from);
        step[HeadSource.K] = segment.k;
        step[HeadSource.FIRST_ID] = segment.firstId + (long) from * segment.k;
        step[HeadSource.FIRST_DENSE] = segment.dense ? segment.firstDense + from : -1;
        step[HeadSource.FIRST_TERM] = firstTerms[i];
        step[HeadSource.LAST_TERM] = firstTerms[i] + segment.terms.lines();
        step[HeadSource.HAS_CE] = segment.hasCrossEntropy ? 1 : 0;
        step[HeadSource.PADDED_ROWS] = Rounded.up(to - from);
        step[HeadSource.HOT] = segment.terms.temperature() == 1 || segment.dense ? 0 : 1;
        steps.add(step);
      }
    }
    return steps.stream().flatMapToLong(Arrays::stream).toArray();
  }

  private static int weightedRows(TrainingSequence sequence) {
    int weighted = 0;
    for (int i = 0; i < sequence.rows(); i++) {
      weighted += sequence.weight(i) > 0 ? 1 : 0;
    }
    return weighted;
  }

  private static float known(String name, float logprob) {
    if (Float.isNaN(logprob)) {
      throw new IllegalArgumentException(name + ": NaN (expected: a log-prob)");
    }
    return logprob;
  }
}
