package io.reflux.schemas.labels;

import java.util.Arrays;

/** Reads format 2; docs/SOFT_LABELS.md describes it bit by bit. */
final class TopKFormat2 {
  static final int TAG = 2;

  private static final int FLAGS =
      LabelHeader.NORMALISED | LabelHeader.SOME_TAILS_UNKNOWN | LabelHeader.SOME_ENTROPIES_UNKNOWN;

  // Symbols of the tail and of the token before those of numbers.
  static final int NO_TAIL = 0;
  static final int TAIL_NUMBERS = 1;
  static final int TOKEN_IS_LIKELIEST = 0;
  static final int TOKEN_IMPOSSIBLE = 1;
  static final int TOKEN_NUMBERS = 2;

  /** Level of a tail that is not there, or not known. */
  private static final int NONE = -1;

  private final LabelHeader header;
  private final BitReader in;
  private final AnsDecoder symbols;
  private final GapCode gaps;
  private final TopKScale scale;
  private final TopKBlock block;

  // Scratch of one row, in ascending order of ids.
  private final int[] ids;
  private final int[] levels;
  // By level; nothing but zeros between rows.
  private final int[] places;
  private int highest;
  private double others;
  private double dot;

  private TopKFormat2(
      LabelHeader header, TopKScale scale, AnsDecoder symbols, GapCode gaps, BitReader in) {
    this.header = header;
    this.scale = scale;
    this.symbols = symbols;
    this.gaps = gaps;
    this.in = in;
    int rows = header.rows();
    int k = header.width();
    this.ids = new int[k];
    this.levels = new int[k];
    this.places = new int[scale.levels];
    this.block =
        new TopKBlock(
            rows,
            k,
            new int[rows * k],
            new float[rows * k],
            new float[rows],
            new float[rows],
            new float[rows]);
  }

  /**
   * @param in after the tag
   */
  static TopKBlock decode(BitReader in, byte[] bytes, int vocabularySize)
      throws SoftLabelFormatException {
    LabelHeader header = LabelHeader.read(in, FLAGS, vocabularySize);
    int steps = in.readVarint();
    if (steps < 1 || steps > TopKScale.MOST_STEPS) {
      throw new SoftLabelFormatException("Soft labels are damaged: " + steps + " steps");
    }
    int symbolBytes = in.readVarint();
    if (symbolBytes > in.remainingBits() / 8) {
      throw new SoftLabelFormatException("Soft labels end early: " + symbolBytes + " bytes follow");
    }
    int from = (int) (in.position() / 8);
    AnsDecoder symbols = new AnsDecoder(bytes, from, from + symbolBytes);
    in.moveTo(in.position() + symbolBytes * 8L);
    header.requirePlausible(vocabularySize, header.width(), in);
    GapCode gaps = GapCode.readParameters(in, vocabularySize);
    TopKFormat2 format = new TopKFormat2(header, TopKScale.of(steps), symbols, gaps, in);
    for (int row = 0; row < header.rows(); row++) {
      format.read(row);
    }
    in.requireEnd();
    symbols.requireEnd();
    return format.block;
  }

  /**
   * The number of steps.
   *
   * @param in after the tag
   */
  static int steps(BitReader in) throws SoftLabelFormatException {
    in.read(8);
    for (int beforeSteps = 0; beforeSteps < 3; beforeSteps++) {
      in.readVarint();
    }
    return in.readVarint();
  }

  private void read(int row) throws SoftLabelFormatException {
    TopKTables tables = TopKTables.INSTANCE;
    boolean tailKnown = !header.has(LabelHeader.SOME_TAILS_UNKNOWN) || in.read(1) == 1;
    boolean entropyKnown = !header.has(LabelHeader.SOME_ENTROPIES_UNKNOWN) || in.read(1) == 1;
    int k = ids.length;
    int shape = symbols.next(tables.shape);
    int top = in.readBelow(k);
    gaps.read(in, ids, 0, k, 0);
    highest = 0;
    others = 0;
    dot = 0;
    readLevels(0, top, shape);
    readLevels(top + 1, k, shape);
    int tailLevel = tailKnown ? readTail(tables.tail[shape]) : NONE;
    double tailMass = tailLevel == NONE ? 0 : scale.tailMass(tailLevel);
    double next = k > 1 ? scale.mass(shape, highest) : 0;
    int correction = Bins.unzigzag(Bins.read(symbols.next(tables.top[shape]), in));
    double topMass = TopKScale.topMass(correction, others + tailMass, next);
    double topLog = Math.log(topMass);
    boolean scaled = header.has(LabelHeader.NORMALISED) && tailKnown;
    double total = scaled ? topMass + others + tailMass : 1;
    double logTotal = scaled ? Math.log(total) : 0;
    int base = row * k;
    float likeliest = (float) Math.min(0, topLog - logTotal);
    block.ids()[base] = ids[top];
    block.logprobs()[base] = likeliest;
    orderByLevel(top, shape, base, logTotal);
    block.tailLogMass()[row] =
        !tailKnown
            ? Float.NaN
            : tailLevel == NONE
                ? Float.NEGATIVE_INFINITY
                : (float) Math.min(0, scale.tailLog(tailLevel) - logTotal);
    block.tokenLogprobs()[row] = readToken(tables.token[shape], likeliest);
    if (entropyKnown) {
      dot += topMass * topLog + (tailLevel == NONE ? 0 : tailMass * scale.tailLog(tailLevel));
      double expected = TopKScale.expectedEntropy(dot, total, tailMass, header.vocabularySize());
      int difference = Bins.unzigzag(Bins.read(symbols.next(tables.entropy[shape]), in));
      block.entropy()[row] =
          (float) Math.max(0, expected + difference / TopKScale.ENTROPY_STEPS_PER_NAT);
    } else {
      block.entropy()[row] = Float.NaN;
    }
  }

  /** Counts the ids of each level, and sums up their masses. */
  private void readLevels(int from, int to, int shape) throws SoftLabelFormatException {
    symbols.next(TopKTables.INSTANCE.level[shape], levels, from, to);
    int most = highest;
    double sum = others;
    double sumOfLogs = dot;
    for (int i = from; i < to; i++) {
      int level = levels[i];
      if (level >= Bins.PLAIN) {
        level = Bins.read(level, in);
        levels[i] = level;
      }
      if (level >= places.length) {
        throw new SoftLabelFormatException(
            "Soft labels are damaged: level " + level + " of " + (places.length - 1));
      }
      places[level]++;
      most = Math.max(most, level);
      sum += scale.mass(shape, level);
      sumOfLogs += scale.massLog(shape, level);
    }
    highest = most;
    others = sum;
    dot = sumOfLogs;
  }

  /** Likeliest first, ids of one level ascending. */
  private void orderByLevel(int top, int shape, int base, double logTotal) {
    float[] toLogprobs = block.logprobs();
    float likeliest = toLogprobs[base];
    int place = base + 1;
    for (int level = highest; level >= 0; level--) {
      int count = places[level];
      if (count > 0) {
        float logprob = Math.min(likeliest, (float) (scale.log(shape, level) - logTotal));
        Arrays.fill(toLogprobs, place, place + count, logprob);
        places[level] = place;
        place += count;
      }
    }
    int[] toIds = block.ids();
    for (int i = 0; i < top; i++) {
      toIds[places[levels[i]]++] = ids[i];
    }
    for (int i = top + 1; i < ids.length; i++) {
      toIds[places[levels[i]]++] = ids[i];
    }
    Arrays.fill(places, 0, highest + 1, 0);
  }

  private int readTail(AnsModel model) throws SoftLabelFormatException {
    int symbol = symbols.next(model);
    if (symbol == NO_TAIL) {
      return NONE;
    }
    int level = Bins.read(symbol - TAIL_NUMBERS, in);
    if (level > scale.steps) {
      throw new SoftLabelFormatException(
          "Soft labels are damaged: tail " + level + " of " + scale.steps);
    }
    return level;
  }

  private float readToken(AnsModel model, float likeliest) throws SoftLabelFormatException {
    int symbol = symbols.next(model);
    return switch (symbol) {
      case TOKEN_IS_LIKELIEST -> likeliest;
      case TOKEN_IMPOSSIBLE -> Float.NEGATIVE_INFINITY;
      default ->
          (float) (0 - Bins.read(symbol - TOKEN_NUMBERS, in) / TopKScale.TOKEN_STEPS_PER_NAT);
    };
  }
}
