package io.reflux.bench.recipe;

import java.util.List;

/**
 * How much a recipe is given.
 *
 * @param teacher its shape, vocabulary included
 * @param teacherEpochs passes over the training part at most
 * @param student shape of every student
 * @param lines of the training part
 * @param testLines of the test part, and of the validation part
 * @param textLines of the training part that whole text is learned from
 * @param textTestLines of the test part that whole text is measured on
 * @param tokens that a student of answers may be trained on
 * @param textTokens that a student of whole text may be trained on
 * @param probeShare of that, to choose a learning rate
 * @param learningRates to choose from
 * @param batchTokens a step
 * @param seeds an arm
 * @param workers arms at the same time
 * @param drift how traffic drifts
 */
public record RecipeSize(
    String teacher,
    int teacherEpochs,
    String student,
    int lines,
    int testLines,
    int textLines,
    int textTestLines,
    double tokens,
    double textTokens,
    double probeShare,
    List<Double> learningRates,
    int batchTokens,
    int seeds,
    int workers,
    Drift drift) {

  /**
   * Traffic whose mix moves on, from one group of intents to the next.
   *
   * @param phases as many groups of intents
   * @param lines that arrive a phase
   * @param steps of training a phase
   * @param testLines a group
   * @param replay sequences that a student may keep beside the recent ones
   * @param recent sequences
   */
  public record Drift(int phases, int lines, int steps, int testLines, int replay, int recent) {}

  /** What the published figures are of. */
  public static final RecipeSize FULL =
      new RecipeSize(
          "vocab=1024,hidden=128,layers=3,heads=4,kv-heads=2,ffn=352",
          6,
          "hidden=64,layers=2,heads=4,kv-heads=2,ffn=176",
          Integer.MAX_VALUE,
          3000,
          4000,
          500,
          2e6,
          1e6,
          0.4,
          List.of(2e-3, 4e-3, 8e-3),
          512,
          3,
          2,
          new Drift(6, 1500, 240, 400, 1500, 500));

  /** A few minutes. */
  public static final RecipeSize QUICK =
      new RecipeSize(
          "vocab=512,hidden=64,layers=2,heads=4,kv-heads=2,ffn=176",
          2,
          "hidden=32,layers=1,heads=2,kv-heads=1,ffn=88",
          1500,
          100,
          300,
          40,
          6e4,
          4e4,
          0.4,
          List.of(4e-3),
          512,
          1,
          2,
          new Drift(3, 300, 40, 60, 300, 100));
}
