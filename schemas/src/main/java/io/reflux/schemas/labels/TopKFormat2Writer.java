package io.reflux.schemas.labels;

import java.util.Arrays;

/**
 * Writes format 2: on the coarsest scale that keeps a block's mean divergence, of what is read from
 * what was written, within {@link #MOST_DIVERGENCE}.
 */
final class TopKFormat2Writer {
  /** Nats a row, over k + 1 buckets. */
  private static final double MOST_DIVERGENCE = 1e-3;

  /**
   * What a bit is worth in squared levels: where a coarser scale would save the next bit at the
   * same divergence.
   */
  private static final double LEVELS_A_BIT = 0.15;

  /** Numbers that the symbols of a correction or of an entropy reach to. */
  private static final int MOST_DIFFERENCE = 2000;

  /** Shapes looked at closely, of those that look cheapest. */
  private static final int SHAPES_TRIED = 4;

  private final TopKBlock block;
  private final int vocabularySize;
  private final LabelHeader header;

  // Of one attempt at a scale.
  private TopKScale scale;
  private BitWriter bits;
  private AnsEncoder symbols;
  private double divergence;

  // What a shape costs, and [shapes, levels] what a level does.
  private final float[] shapeBits;
  private float[] levelBits;

  // [rows, k], by ascending id within a row: ids, and where each stood in the block's row.
  private final int[] ids;
  private final int[] ranks;

  // Scratch of one row, in the block's order.
  private final float[] positions;
  private int[] levels;
  private int[] candidate;

  // [shapes]
  private final float[] estimates = new float[TopKTables.INSTANCE.shapes];

  private TopKFormat2Writer(TopKBlock block, int vocabularySize) {
    int k = block.k();
    this.block = block;
    this.vocabularySize = vocabularySize;
    this.ids = new int[block.ids().length];
    this.ranks = new int[block.ids().length];
    this.positions = new float[k];
    this.levels = new int[k];
    this.candidate = new int[k];
    boolean normalised = true;
    for (int row = 0; row < block.rows(); row++) {
      normalised &= requireRow(row);
    }
    int flags =
        (normalised ? LabelHeader.NORMALISED : 0)
            | (Shapes.someUnknown(block.tailLogMass()) ? LabelHeader.SOME_TAILS_UNKNOWN : 0)
            | (Shapes.someUnknown(block.entropy()) ? LabelHeader.SOME_ENTROPIES_UNKNOWN : 0);
    this.header = new LabelHeader(flags, vocabularySize, block.rows(), k);
    this.shapeBits = symbolBits(TopKTables.INSTANCE.shape);
  }

  static void encode(TopKBlock block, int vocabularySize, BitWriter out) {
    Shapes.requireWidth("k", block.k(), block.rows(), vocabularySize);
    new TopKFormat2Writer(block, vocabularySize).write(out);
  }

  /** Returns whether the row sums to one, or may. */
  private boolean requireRow(int row) {
    float tail = block.tailLogMass()[row];
    Shapes.requireTail(row, tail);
    double sum = Math.exp(tail);
    float previous = Float.POSITIVE_INFINITY;
    for (int i = row * block.k(); i < (row + 1) * block.k(); i++) {
      float logprob = block.logprobs()[i];
      Shapes.requireLogprob("logprobs", row, logprob);
      if (logprob > previous) {
        throw new IllegalArgumentException(
            "logprobs, row "
                + row
                + ": "
                + logprob
                + " after "
                + previous
                + " (expected: likeliest first)");
      }
      previous = logprob;
      sum += Math.exp(logprob);
    }
    Shapes.requireLogprob("tokenLogprobs", row, block.tokenLogprobs()[row]);
    Shapes.requireEntropy(row, block.entropy()[row]);
    return Float.isNaN(tail) || Math.abs(sum - 1) <= Shapes.SUM_TOLERANCE;
  }

  private static float[] symbolBits(AnsModel model) {
    float[] bits = new float[model.size()];
    for (int symbol = 0; symbol < bits.length; symbol++) {
      bits[symbol] = (float) model.bits(symbol);
    }
    return bits;
  }

  private static float[] levelBits(TopKScale scale) {
    TopKTables tables = TopKTables.INSTANCE;
    float[] bits = new float[tables.shapes * scale.levels];
    for (int shape = 0; shape < tables.shapes; shape++) {
      float[] symbolBits = symbolBits(tables.level[shape]);
      for (int level = 0; level < scale.levels; level++) {
        bits[shape * scale.levels + level] =
            symbolBits[Bins.symbol(level)] + Bins.extraBits(Bins.symbol(level));
      }
    }
    return bits;
  }

  private void write(BitWriter out) {
    GapCode.Fit fit = new GapCode.Fit(vocabularySize);
    for (int row = 0; row < block.rows(); row++) {
      sortIds(row);
      fit.add(ids, row * block.k(), (row + 1) * block.k(), 0);
    }
    GapCode gaps = fit.best();
    attempt(TopKScale.forIds(block.k()), gaps);
    while (divergence > MOST_DIVERGENCE * block.rows() && !scale.isFinest()) {
      attempt(scale.finer(divergence / (MOST_DIVERGENCE * block.rows())), gaps);
    }
    bits.align();
    byte[] coded = symbols.finish();
    header.write(TopKFormat2.TAG, out);
    out.writeVarint(scale.steps);
    out.writeVarint(coded.length);
    out.writeBytes(coded);
    out.writeBytes(Arrays.copyOf(bits.array(), bits.size()));
  }

  private void attempt(TopKScale at, GapCode gaps) {
    scale = at;
    bits = new BitWriter(32 + block.rows() * (4 + 2 * block.k()));
    symbols = new AnsEncoder();
    levelBits = levelBits(at);
    divergence = 0;
    gaps.writeParameters(bits);
    for (int row = 0; row < block.rows(); row++) {
      writeRow(row, gaps);
    }
  }

  private void sortIds(int row) {
    int k = block.k();
    int base = row * k;
    long[] byId = new long[k];
    for (int i = 0; i < k; i++) {
      int id = block.ids()[base + i];
      Shapes.requireId(row, id, vocabularySize);
      byId[i] = (long) id << 32 | i;
    }
    Arrays.sort(byId);
    for (int i = 0; i < k; i++) {
      ids[base + i] = (int) (byId[i] >>> 32);
      ranks[base + i] = (int) byId[i];
      if (i > 0 && ids[base + i] == ids[base + i - 1]) {
        throw new IllegalArgumentException("ids, row " + row + ": " + ids[base + i] + " twice");
      }
    }
  }

  private void writeRow(int row, GapCode gaps) {
    TopKTables tables = TopKTables.INSTANCE;
    int k = block.k();
    int base = row * k;
    float tail = block.tailLogMass()[row];
    float entropy = block.entropy()[row];
    writeKnown(LabelHeader.SOME_TAILS_UNKNOWN, tail);
    writeKnown(LabelHeader.SOME_ENTROPIES_UNKNOWN, entropy);
    int shape = chooseLevels(base);
    symbols.add(tables.shape, shape);
    int top = 0;
    while (ranks[base + top] != 0) {
      top++;
    }
    bits.writeBelow(top, k);
    gaps.write(ids, base, base + k, 0, bits);
    double others = 0;
    double dot = 0;
    double lost = 0;
    int highest = 0;
    for (int i = base; i < base + k; i++) {
      if (ranks[i] != 0) {
        int level = levels[ranks[i]];
        writeNumber(tables.level[shape], 0, level);
        double mass = scale.mass(shape, level);
        others += mass;
        dot += scale.massLog(shape, level);
        double root = positions[ranks[i]] / scale.steps;
        lost += lost(root * root, block.logprobs()[base + ranks[i]], scale.log(shape, level));
        highest = Math.max(highest, level);
      }
    }
    double tailMass = 0;
    if (tail == Float.NEGATIVE_INFINITY) {
      symbols.add(tables.tail[shape], TopKFormat2.NO_TAIL);
    } else if (!Float.isNaN(tail)) {
      int level = scale.tailLevel(tail);
      writeNumber(tables.tail[shape], TopKFormat2.TAIL_NUMBERS, level);
      tailMass = scale.tailMass(level);
      dot += tailMass * scale.tailLog(level);
      lost += lost(Math.exp(tail), tail, scale.tailLog(level));
    }
    int correction = TopKScale.topCorrection(block.logprobs()[base], others + tailMass);
    writeNumber(tables.top[shape], 0, Bins.zigzag(correction));
    double next = k > 1 ? scale.mass(shape, highest) : 0;
    double topMass = TopKScale.topMass(correction, others + tailMass, next);
    double topLog = Math.log(topMass);
    boolean scaled = header.has(LabelHeader.NORMALISED) && !Float.isNaN(tail);
    double total = scaled ? topMass + others + tailMass : 1;
    float likeliest = block.logprobs()[base];
    lost += lost(Math.exp(likeliest), likeliest, topLog) + Math.log(total);
    divergence += lost;
    writeToken(tables.token[shape], row);
    if (!Float.isNaN(entropy)) {
      dot += topMass * topLog;
      double expected = TopKScale.expectedEntropy(dot, total, tailMass, vocabularySize);
      long difference = Math.round((entropy - expected) * TopKScale.ENTROPY_STEPS_PER_NAT);
      int limited = (int) Math.max(-MOST_DIFFERENCE, Math.min(MOST_DIFFERENCE, difference));
      writeNumber(tables.entropy[shape], 0, Bins.zigzag(limited));
    }
  }

  /** What a bucket adds to the divergence of the written row; p log p is 0 where p is. */
  private static double lost(double p, double logprob, double written) {
    return p == 0 ? 0 : p * (logprob - written);
  }

  private void writeKnown(int flag, float value) {
    if (header.has(flag)) {
      bits.write(Float.isNaN(value) ? 0 : 1, 1);
    }
  }

  private void writeNumber(AnsModel model, int firstSymbol, int value) {
    symbols.add(model, firstSymbol + Bins.symbol(value));
    Bins.writeExtra(value, bits);
  }

  private void writeToken(AnsModel model, int row) {
    float logprob = block.tokenLogprobs()[row];
    if (logprob == block.logprobs()[row * block.k()]) {
      symbols.add(model, TopKFormat2.TOKEN_IS_LIKELIEST);
    } else if (logprob == Float.NEGATIVE_INFINITY) {
      symbols.add(model, TopKFormat2.TOKEN_IMPOSSIBLE);
    } else {
      double steps = Math.max(0, -(double) logprob) * TopKScale.TOKEN_STEPS_PER_NAT;
      int most = Bins.most(model.size() - TopKFormat2.TOKEN_NUMBERS);
      writeNumber(model, TopKFormat2.TOKEN_NUMBERS, (int) Math.min(most, Math.round(steps)));
    }
  }

  // --- levels

  /** Picks the shape and the levels that cost least, bits and error together. */
  private int chooseLevels(int base) {
    for (int i = 1; i < block.k(); i++) {
      positions[i] =
          (float) Math.min(scale.steps, Math.exp(block.logprobs()[base + i] / 2.0) * scale.steps);
    }
    estimate();
    int best = 0;
    double bestCost = Double.POSITIVE_INFINITY;
    for (int tried = 0; tried < SHAPES_TRIED; tried++) {
      int shape = takeCheapest();
      double cost = fit(base, shape, bestCost);
      if (cost < bestCost) {
        best = shape;
        bestCost = cost;
        int[] former = levels;
        levels = candidate;
        candidate = former;
      }
    }
    return best;
  }

  /** What every shape would cost in bits with the nearest levels, about. */
  private void estimate() {
    for (int i = 1; i < block.k(); i++) {
      levels[i] = (int) (positions[i] + 0.3f);
    }
    for (int shape = 0; shape < estimates.length; shape++) {
      int offset = shape * scale.levels;
      float cost = shapeBits[shape];
      for (int i = 1; i < block.k(); i++) {
        cost += levelBits[offset + levels[i]];
      }
      estimates[shape] = cost;
    }
  }

  private int takeCheapest() {
    int cheapest = 0;
    for (int shape = 1; shape < estimates.length; shape++) {
      if (estimates[shape] < estimates[cheapest]) {
        cheapest = shape;
      }
    }
    estimates[cheapest] = Float.POSITIVE_INFINITY;
    return cheapest;
  }

  /**
   * Finds levels within one of where the ids stand; returns what they cost.
   *
   * @param most a higher cost is of no interest
   */
  private double fit(int base, int shape, double most) {
    int offset = shape * scale.levels;
    double lowest = scale.position(shape, 0);
    double lowestLog = scale.log(shape, 0);
    double sum = LEVELS_A_BIT * shapeBits[shape];
    for (int i = 1; i < block.k() && sum < most; i++) {
      double position = positions[i];
      int below = (int) position;
      if (below > 0 && scale.position(shape, below) > position) {
        below--;
      }
      double short1 = position - scale.position(shape, below);
      double over = scale.position(shape, below + 1) - position;
      double error =
          below == 0
              ? bottomError(position, block.logprobs()[base + i], lowest, lowestLog)
              : short1 * short1;
      double belowCost = error + LEVELS_A_BIT * levelBits[offset + below];
      double aboveCost = over * over + LEVELS_A_BIT * levelBits[offset + below + 1];
      boolean tooFar = below == 0 ? position > 1 : short1 > 1;
      boolean up = tooFar || (over <= 1 && aboveCost < belowCost);
      candidate[i] = up ? below + 1 : below;
      sum += up ? aboveCost : belowCost;
    }
    return sum;
  }

  /** The divergence itself: below the first level a squared distance says little of it. */
  private double bottomError(double position, float logprob, double lowest, double lowestLog) {
    double mass = position * position;
    double log = mass > 0 ? mass * (logprob - lowestLog) : 0;
    return (log - mass + lowest * lowest) / 2;
  }
}
