package io.reflux.bench.prune;

import io.reflux.bench.prune.Way.Start;
import io.reflux.bench.recipe.RecipeSize;
import java.util.List;

/**
 * How much is trained and measured.
 *
 * @param recipe whose teacher and text
 * @param student shape of the dense student
 * @param ways to smaller ones
 * @param tokens that each is trained on
 * @param tokensAfter that those are trained on more which were finished before they were cut
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

  private static final String NEURONS = "neurons:0.5";

  /** Each loses a quarter of all weights or somewhat more, embeddings counted. */
  static final List<Way> WAYS =
      List.of(
          new Way("small from nothing", Start.SMALL, NEURONS + "@0"),
          new Way("neurons, once", Start.NOTHING, NEURONS + "@500"),
          new Way("neurons, gradually", Start.NOTHING, NEURONS + "@250..500/3"),
          new Way("neurons, early", Start.NOTHING, NEURONS + "@250"),
          new Way("neurons and groups, once", Start.NOTHING, "neurons:0.67@500,kv:0.5@500"),
          new Way(
              "neurons and groups, gradually",
              Start.NOTHING,
              "neurons:0.67@250..500/2,kv:0.5@300..450/2"),
          new Way("layers, once", Start.NOTHING, "layers:0.75@500,neurons:0.83@500"),
          new Way("finished, neurons, once", Start.FINISHED, NEURONS + "@0"),
          new Way("finished, neurons, gradually", Start.FINISHED, NEURONS + "@0..250/3"));

  static final PruneSize FULL =
      new PruneSize(
          RecipeSize.FULL,
          "hidden=64,layers=4,heads=8,kv-heads=4,ffn=192",
          WAYS,
          1e6,
          5e5,
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
          "hidden=32,layers=4,heads=4,kv-heads=4,ffn=128",
          WAYS,
          4e4,
          2e4,
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
