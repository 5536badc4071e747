package io.reflux.schemas.labels;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * A second reader of formats 2 to 4, written from docs/SOFT_LABELS.md alone: bit by bit, slow, and
 * sharing no code with the codec. It trusts its bytes.
 */
final class SpecReader {
  private final byte[] bytes;
  private final int vocabulary;
  private int bit;
  private int wordAt;
  private long state;
  private int[] parameters;

  private final Map<String, List<int[]>> tables = new HashMap<>();

  private SpecReader(byte[] bytes) throws IOException {
    this.bytes = bytes;
    bit = 16; // after tag and flags
    vocabulary = varint();
    InputStream file = SpecReader.class.getResourceAsStream("topk-format-2.txt");
    try (BufferedReader in =
        new BufferedReader(new InputStreamReader(file, StandardCharsets.US_ASCII))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String[] words = line.split(" ");
        int[] numbers = new int[words.length - 1];
        for (int i = 1; i < words.length; i++) {
          numbers[i - 1] = Integer.parseInt(words[i]);
        }
        tables.computeIfAbsent(words[0], name -> new ArrayList<>()).add(numbers);
      }
    }
  }

  static LabelBlock read(byte[] bytes) throws IOException {
    SpecReader reader = new SpecReader(bytes);
    return switch (bytes[0]) {
      case 2 -> reader.topK();
      case 3 -> reader.sampled();
      case 4 -> reader.support();
      default -> throw new IllegalArgumentException("format " + bytes[0]);
    };
  }

  private boolean flag(int number) {
    return (bytes[1] >> number & 1) == 1;
  }

  // --- codes

  private int u(int bits) {
    int value = 0;
    for (int i = 0; i < bits; i++) {
      value = value * 2 + (bytes[bit / 8] >> (7 - bit % 8) & 1);
      bit++;
    }
    return value;
  }

  private int varint() {
    int value = 0;
    for (int shift = 0; ; shift += 7) {
      int next = u(8);
      value += next % 128 << shift;
      if (next < 128) {
        return value;
      }
    }
  }

  private int unary(int most) {
    int ones = 0;
    while (ones < most && u(1) == 1) {
      ones++;
    }
    return ones;
  }

  private int unary() {
    return unary(Integer.MAX_VALUE);
  }

  private int below(int n) {
    int floor = 0;
    while (2 << floor <= n) {
      floor++;
    }
    int s = (2 << floor) - n;
    int r = u(floor);
    if (r >= s) {
      r = r * 2 + u(1) - s;
    }
    return (r + (n - s) / 2) % n;
  }

  private int gamma() {
    int bits = unary();
    return (1 << bits) + u(bits);
  }

  private static int unzigzag(int z) {
    return z % 2 == 0 ? z / 2 : -(z + 1) / 2;
  }

  private int rice(int parameter, int longest, int longBits) {
    int quotient = unary(longest);
    return quotient == longest ? u(longBits) : (quotient << parameter) + u(parameter);
  }

  /** A number of which the symbol is known: walk through the bins until its own. */
  private int number(int symbol) {
    int low = 0;
    int bits = 0;
    for (int i = 0; i < symbol; i++) {
      low += 1 << bits;
      if (i >= 11 && i % 2 == 1) {
        bits++;
      }
    }
    return low + u(bits);
  }

  private void gapParameters() {
    int octaves = 1;
    for (int id = vocabulary; id > 0; id /= 2) {
      octaves++;
    }
    parameters = new int[octaves];
    parameters[0] = u(5);
    for (int i = 1; i < octaves; i++) {
      parameters[i] = parameters[i - 1] + unzigzag(unary());
    }
  }

  private int[] gaps(int count, int shift) {
    int[] ids = new int[count];
    int previous = -1;
    for (int i = 0; i < count; i++) {
      int octave = 0;
      for (int id = previous + 1; id > 0; id /= 2) {
        octave++;
      }
      previous += 1 + rice(Math.min(20, parameters[octave] + shift), 24, 20);
      ids[i] = previous;
    }
    return ids;
  }

  private int symbol(int[] frequencies) {
    int slot = (int) (state % 2048);
    int symbol = 0;
    int start = 0;
    while (slot >= start + frequencies[symbol]) {
      start += frequencies[symbol++];
    }
    state = frequencies[symbol] * (state / 2048) + slot - start;
    if (state < 65536) {
      state = state * 65536 + word();
    }
    return symbol;
  }

  private int word() {
    int value = (bytes[wordAt] & 0xff) * 256 + (bytes[wordAt + 1] & 0xff);
    wordAt += 2;
    return value;
  }

  private static float logprob(int v) {
    if (v == 1441) {
      return Float.NEGATIVE_INFINITY;
    }
    double x = v / 32.0;
    if (v >= 320) {
      x = 10 * Math.pow(2, (v - 320) / 160) * (1 + (v - 320) % 160 / 160.0);
    }
    return (float) (0 - x);
  }

  // --- formats

  private TopKBlock topK() {
    int rows = varint();
    int k = varint();
    int n = varint();
    int words = varint();
    wordAt = bit / 8;
    bit += words * 8;
    state = word() * 65536L + word();
    gapParameters();
    TopKBlock block =
        new TopKBlock(
            rows,
            k,
            new int[rows * k],
            new float[rows * k],
            new float[rows],
            new float[rows],
            new float[rows]);
    for (int row = 0; row < rows; row++) {
      topKRow(block, row, n);
    }
    return block;
  }

  private void topKRow(TopKBlock block, int row, int n) {
    int k = block.k();
    boolean tailKnown = !flag(1) || u(1) == 1;
    boolean entropyKnown = !flag(2) || u(1) == 1;
    int shape = symbol(tables.get("shape").get(0));
    int top = below(k);
    int[] ids = gaps(k, 0);
    // By falling level, then by rising id.
    Map<Integer, List<Integer>> byLevel = new TreeMap<>(Comparator.reverseOrder());
    double others = 0;
    double sum = 0;
    double highest = 0;
    int[] symbols = new int[k];
    for (int i = 0; i < k; i++) {
      symbols[i] = i == top ? -1 : symbol(tables.get("level").get(shape));
    }
    for (int i = 0; i < k; i++) {
      if (i != top) {
        int level = number(symbols[i]);
        byLevel.computeIfAbsent(level, key -> new ArrayList<>()).add(ids[i]);
        double p = probability(shape, level, n);
        others += p;
        sum -= p * Math.log(p);
        highest = Math.max(highest, p);
      }
    }
    double tail = 0;
    if (tailKnown) {
      int symbol = symbol(tables.get("tail").get(shape));
      if (symbol > 0) {
        double level = number(symbol - 1);
        tail = Math.pow(Math.max(level, 0.25) / n, 2);
        sum -= tail * Math.log(tail);
      }
    }
    int correction = unzigzag(number(symbol(tables.get("top").get(shape))));
    double root = Math.sqrt(Math.max(0, 1 - others - tail)) + correction / 96.0;
    double p1 = Math.max(Math.pow(Math.max(root, 0.25 / 96), 2), highest);
    sum -= p1 * Math.log(p1);
    double z = flag(0) && tailKnown ? p1 + others + tail : 1;
    int at = row * k;
    block.ids()[at] = ids[top];
    block.logprobs()[at] = (float) Math.min(0, Math.log(p1 / z));
    for (Map.Entry<Integer, List<Integer>> level : byLevel.entrySet()) {
      for (int id : level.getValue()) {
        at++;
        block.ids()[at] = id;
        block.logprobs()[at] =
            (float) Math.min(0, Math.log(probability(shape, level.getKey(), n) / z));
      }
    }
    block.tailLogMass()[row] = tailKnown ? (float) Math.min(0, Math.log(tail / z)) : Float.NaN;
    int token = symbol(tables.get("token").get(shape));
    block.tokenLogprobs()[row] =
        switch (token) {
          case 0 -> block.logprobs()[row * k];
          case 1 -> Float.NEGATIVE_INFINITY;
          default -> (float) (0 - number(token - 2) / 32.0);
        };
    block.entropy()[row] = Float.NaN;
    if (entropyKnown) {
      double expected = (sum + 0.6 * tail * Math.log(vocabulary)) / z + Math.log(z);
      int difference = unzigzag(number(symbol(tables.get("entropy").get(shape))));
      block.entropy()[row] = (float) Math.max(0, expected + difference / 32.0);
    }
  }

  private double probability(int shape, int level, int n) {
    int[] scale = tables.get("scale").get(shape);
    double position = level < 10 ? scale[level] / 64.0 : scale[9] / 64.0 + level - 9;
    return Math.pow(position / n, 2);
  }

  private SampledBlock sampled() {
    int rows = varint();
    int draws = varint();
    gapParameters();
    int[] starts = new int[rows + 1];
    List<Integer> ids = new ArrayList<>();
    List<Integer> counts = new ArrayList<>();
    float[] tokens = new float[rows];
    float[] entropy = new float[rows];
    for (int row = 0; row < rows; row++) {
      int distinct = below(Math.min(draws, vocabulary)) + 1;
      int top = below(distinct);
      int shift = 0;
      while (2 << shift <= 3 * draws / (2 * distinct)) {
        shift++;
      }
      int[] rowIds = gaps(distinct, shift);
      int[] rowCounts = new int[distinct];
      rowCounts[top] = draws;
      for (int i = 0; i < distinct; i++) {
        if (i != top) {
          rowCounts[i] = gamma();
          rowCounts[top] -= rowCounts[i];
        }
      }
      for (int count = draws; count > 0; count--) {
        for (int i = 0; i < distinct; i++) {
          if (rowCounts[i] == count) {
            ids.add(rowIds[i]);
            counts.add(count);
          }
        }
      }
      starts[row + 1] = ids.size();
      tokens[row] = logprob(u(11));
      entropy[row] = entropy();
    }
    return new SampledBlock(
        rows,
        draws,
        starts,
        ids.stream().mapToInt(id -> id).toArray(),
        counts.stream().mapToInt(count -> count).toArray(),
        tokens,
        entropy);
  }

  private float entropy() {
    return flag(2) && u(1) == 0 ? Float.NaN : u(10) / 64f;
  }

  private SupportBlock support() {
    int rows = varint();
    int k = varint();
    int checksum = u(16) << 16 | u(16);
    float[] logprobs = new float[rows * k];
    float[] tails = new float[rows];
    float[] tokens = new float[rows];
    float[] entropy = new float[rows];
    for (int row = 0; row < rows; row++) {
      int parameter = u(4);
      int expected = 64;
      for (int i = row * k; i < (row + 1) * k; i++) {
        int v = expected + unzigzag(rice(parameter, 16, 12));
        logprobs[i] = logprob(v);
        expected = Math.floorDiv(expected + v, 2);
      }
      tails[row] = flag(1) && u(1) == 0 ? Float.NaN : logprob(u(11));
      tokens[row] = u(1) == 1 ? logprobs[row * k + gamma() - 1] : logprob(u(11));
      entropy[row] = entropy();
    }
    return new SupportBlock(rows, k, checksum, logprobs, tails, tokens, entropy);
  }
}
