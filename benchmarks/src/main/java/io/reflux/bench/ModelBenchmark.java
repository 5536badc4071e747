package io.reflux.bench;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.trainer.pretrain.Shape;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/** Scoring and decoding with models of the bundled sizes, float32 against int8 in the same run. */
final class ModelBenchmark implements Benchmark {
  private static final int VOCABULARY = 1024;
  private static final int BATCH = 8;
  private static final int SEQUENCE = 96;
  private static final int PROMPT = 24;
  private static final int ANSWER = 48;
  private static final int ANSWERS = 8 * BATCH;
  private static final int TOP_K = 16;

  @Override
  public String name() {
    return "model";
  }

  @Override
  public String description() {
    return "scoring and decoding tokens/s of the bundled sizes, float32 and int8, one thread";
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Result.Builder result = new Result.Builder(name());
    result
        .condition("threads", 1)
        .condition("batch", BATCH)
        .condition("sequence_tokens", SEQUENCE)
        .condition("top_k", TOP_K);
    int runs = options.quick() ? 3 : 9;
    measure("teacher", "hidden=256,layers=4,heads=8,kv-heads=4,ffn=704", runs, result, progress);
    measure("student", "hidden=96,layers=2,heads=4,kv-heads=2,ffn=256", runs, result, progress);
    return result.build();
  }

  private static void measure(
      String who, String shape, int runs, Result.Builder result, PrintWriter progress)
      throws Exception {
    ModelConfig config = Shape.parse(shape).config(VOCABULARY, OptionalInt.empty(), List.of(0));
    Weights floats = RandomModel.weights(config, 1);
    Weights int8 = Quantiser.of(WeightFormat.INT8).quantise(config, floats);
    EngineOptions slots = new EngineOptions(BATCH, PROMPT + ANSWER);
    try (Scorer floatScorer = new Scorer(config, floats, TOP_K, RuntimeOptions.DEFAULT);
        Scorer int8Scorer = new Scorer(config, int8, TOP_K, RuntimeOptions.DEFAULT);
        GenerationEngine floatEngine =
            new GenerationEngine(config, floats, slots, RuntimeOptions.DEFAULT);
        GenerationEngine int8Engine =
            new GenerationEngine(config, int8, slots, RuntimeOptions.DEFAULT)) {
      for (int run = -2; run < runs; run++) {
        progress.printf("%s: run %d of %d%n", who, Math.max(run, 0) + 1, runs);
        progress.flush();
        double floatScore = score(floatScorer, run);
        double int8Score = score(int8Scorer, run);
        double floatDecode = decode(floatEngine, run);
        double int8Decode = decode(int8Engine, run);
        if (run < 0) {
          continue; // the first runs warm up
        }
        result
            .sample(who + "_score_f32_tokens_per_second", floatScore, "tokens/s")
            .sample(who + "_score_int8_ratio", int8Score / floatScore, "")
            .sample(who + "_decode_f32_tokens_per_second", floatDecode, "tokens/s")
            .sample(who + "_decode_int8_ratio", int8Decode / floatDecode, "");
      }
    }
  }

  private static double score(Scorer scorer, long seed) {
    Random random = new Random(seed);
    List<ScoreRequest> batch = new ArrayList<>();
    for (int i = 0; i < BATCH; i++) {
      batch.add(ScoreRequest.of(random.ints(SEQUENCE, 0, VOCABULARY).toArray(), 1));
    }
    long started = System.nanoTime();
    int passes = 32;
    for (int pass = 0; pass < passes; pass++) {
      scorer.score(batch);
    }
    return passes * BATCH * SEQUENCE / ((System.nanoTime() - started) / 1e9);
  }

  private static double decode(GenerationEngine engine, long seed) throws Exception {
    Random random = new Random(seed);
    long started = System.nanoTime();
    List<CompletableFuture<?>> answers = new ArrayList<>();
    for (int i = 0; i < ANSWERS; i++) {
      int[] prompt = random.ints(PROMPT, 1, VOCABULARY).toArray();
      answers.add(
          engine
              .submit(
                  new GenerationRequest(prompt, ANSWER, SamplingOptions.GREEDY, Set.of(), 0), null)
              .result());
    }
    CompletableFuture.allOf(answers.toArray(CompletableFuture[]::new)).get();
    return (double) ANSWERS * ANSWER / ((System.nanoTime() - started) / 1e9);
  }
}
