package io.reflux.bench;

import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.TopKBlock;
import java.io.PrintWriter;
import java.util.Random;

/** Bytes and speed of the soft-label codec on random distributions of realistic sharpness. */
final class LabelsBenchmark implements Benchmark {
  private static final int ROWS = 256;
  private static final int WARM_UPS = 12;

  @Override
  public String name() {
    return "labels";
  }

  @Override
  public String description() {
    return "soft-label codec: bytes a token, encoding and decoding speed";
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Result.Builder result = new Result.Builder(name()).condition("rows", ROWS);
    for (int[] size : new int[][] {{1024, 16}, {151_936, 16}, {151_936, 64}}) {
      measure(size[0], size[1], options.quick() ? 3 : 9, result);
    }
    return result.build();
  }

  private static void measure(int vocabulary, int k, int runs, Result.Builder result)
      throws Exception {
    String prefix = "v" + vocabulary + "_k" + k;
    for (int run = -WARM_UPS; run < runs; run++) {
      TopKBlock block = block(vocabulary, k, run);
      int passes = 60;
      long started = System.nanoTime();
      byte[] bytes = new byte[0];
      for (int pass = 0; pass < passes; pass++) {
        bytes = SoftLabelCodec.encode(block, vocabulary);
      }
      double encode = passes * ROWS / ((System.nanoTime() - started) / 1e9);
      started = System.nanoTime();
      for (int pass = 0; pass < passes; pass++) {
        SoftLabelCodec.decodeTopK(bytes, vocabulary);
      }
      double decode = passes * ROWS / ((System.nanoTime() - started) / 1e9);
      if (run >= 0) {
        result
            .sample(prefix + "_bytes_per_token", bytes.length / (double) ROWS, "bytes")
            .sample(prefix + "_encode_tokens_per_second", encode, "tokens/s")
            .sample(prefix + "_decode_tokens_per_second", decode, "tokens/s");
      }
    }
  }

  /** Geometric-like tails over random ids: what a language model's top-k looks like. */
  private static TopKBlock block(int vocabulary, int k, long seed) {
    Random random = new Random(seed);
    int[] ids = new int[ROWS * k];
    float[] logprobs = new float[ROWS * k];
    float[] tail = new float[ROWS];
    float[] token = new float[ROWS];
    float[] entropy = new float[ROWS];
    for (int row = 0; row < ROWS; row++) {
      int[] distinct = random.ints(0, vocabulary).distinct().limit(k).toArray();
      double logprob = Math.log(0.3 + 0.65 * random.nextDouble());
      double mass = 0;
      double rowEntropy = 0;
      for (int i = 0; i < k; i++) {
        ids[row * k + i] = distinct[i];
        logprobs[row * k + i] = (float) logprob;
        mass += Math.exp(logprob);
        rowEntropy -= logprob * Math.exp(logprob);
        double room = Math.max(1e-9, 1 - mass);
        logprob = Math.min(logprob, Math.log(room * (0.2 + 0.5 * random.nextDouble())));
      }
      tail[row] = (float) Math.log(Math.max(1e-12, 1 - mass));
      token[row] = logprobs[row * k];
      entropy[row] = (float) rowEntropy;
    }
    return new TopKBlock(ROWS, k, ids, logprobs, tail, token, entropy);
  }
}
