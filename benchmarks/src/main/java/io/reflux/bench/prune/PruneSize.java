package io.reflux.bench.prune;

import io.reflux.bench.recipe.RecipeSize;
import java.util.List;

/**
 * How much is trained and measured.
 *
 * @param recipe whose teacher and text
 * @param student shape of the dense student
 * @param ways to smaller ones
 * @param tokens that the dense student is trained on before
 * @param tokensAfter that it and every smaller one are trained on from there
 * @param learningRate peak of every student
 * @param batchTokens a step
 * @param calibrationTokens that a cut is calibrated on
 * @param seeds a way
 * @param workers ways at the same time
 * @param speed what the speed of attention is measured on
 */
record PruneSize(
    RecipeSize recipe,
    String student,
    List<Way> ways,
    double tokens,
    double tokensAfter,
    double learningRate,
    int batchTokens,
    int calibrationTokens,
    int seeds,
    int workers,
    Speed speed) {

  /**
   * Of a model without half of its key-value groups.
   *
   * @param shape of the dense one
   * @param prompts tokens
   * @param newTokens after each
   * @param runs of each
   */
  record Speed(String shape, List<Integer> prompts, int newTokens, int runs) {}

  /** Each loses a quarter of all weights or somewhat more, embeddings counted. */
  static final List<Way> WAYS =
      List.of(
          Way.of("neurons, once", "neurons:0.5@0"),
          Way.of("neurons, gradually", "neurons:0.5@0..300/3"),
          Way.of("neurons and groups, gradually", "neurons:0.67@0..300/2,kv:0.5@150"),
          Way.of("layers and neurons, once", "layers:0.67@0,neurons:0.83@0"));

  static final PruneSize FULL =
      new PruneSize(
          RecipeSize.FULL,
          "hidden=64,layers=3,heads=4,kv-heads=2,ffn=192",
          WAYS,
          8e5,
          4e5,
          2e-3,
          512,
          8192,
          3,
          2,
          new Speed(
              "vocab=1024,hidden=256,layers=4,heads=8,kv-heads=4,ffn=704,context=2048",
              List.of(128, 512, 1000),
              64,
              9));

  static final PruneSize QUICK =
      new PruneSize(
          RecipeSize.QUICK,
          "hidden=32,layers=3,heads=4,kv-heads=2,ffn=128",
          WAYS,
          6e4,
          3e4,
          4e-3,
          512,
          2048,
          1,
          2,
          new Speed(
              "vocab=512,hidden=128,layers=2,heads=8,kv-heads=4,ffn=352,context=2048",
              List.of(128, 512, 1000),
              32,
              3));
}
