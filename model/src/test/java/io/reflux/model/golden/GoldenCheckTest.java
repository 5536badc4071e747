package io.reflux.model.golden;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.golden.GoldenPrompts.Answered;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.KeyValueFormat;
import io.reflux.model.runtime.RuntimeOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class GoldenCheckTest {
  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final int TOKENS = 12;
  private static final ModelConfig CONFIG =
      new ModelConfig(
          ModelConfig.Architecture.LLAMA,
          300,
          32,
          64,
          2,
          4,
          2,
          8,
          64,
          1e-5,
          10_000,
          null,
          false,
          false,
          false,
          OptionalInt.empty(),
          OptionalInt.empty(),
          List.of(0));
  private static final Weights WEIGHTS = RandomModel.variedWeights(CONFIG, 5);

  @TempDir private Path folder;

  @Test
  void answersAreTheLikeliestOfTheDoubleForwardWithTheirLead() {
    GoldenPrompts golden = golden(WEIGHTS);
    assertThat(golden.prompts()).hasSize(4);
    Answered one = golden.prompts().get(0);
    int[] sequence = Arrays.copyOf(one.promptIds(), one.length());
    System.arraycopy(one.answerIds(), 0, sequence, one.promptIds().length, one.answerIds().length);
    double[][] logits = ReferenceForward.logits(CONFIG, WEIGHTS, sequence);
    for (int i = 0; i < one.answerIds().length; i++) {
      double[] row = logits[one.promptIds().length + i - 1].clone();
      double best = row[one.answerIds()[i]];
      row[one.answerIds()[i]] = Double.NEGATIVE_INFINITY;
      double second = Arrays.stream(row).max().orElseThrow();
      assertThat((double) one.margins()[i]).isCloseTo(best - second, within(1e-3));
    }
  }

  @Test
  void theSameModelHoldsAlsoByOtherKernelsAndAnotherDoesNot() {
    GoldenPrompts golden = golden(WEIGHTS);
    GoldenCheck.Result same = check(golden, WEIGHTS, KeyValueFormat.FULL);
    assertThat(same.agreed()).isEqualTo(same.positions()).isGreaterThan(20);
    assertThat(same.firstMiss()).isEmpty();
    assertThat(same.holds()).isTrue();
    GoldenCheck.Result coarse = check(golden, WEIGHTS, KeyValueFormat.INT8);
    assertThat(coarse.holds()).as("%s", coarse).isTrue();

    GoldenCheck.Result other =
        check(golden, RandomModel.variedWeights(CONFIG, 6), KeyValueFormat.FULL);
    assertThat(other.holds()).as("%s", other).isFalse();
    assertThat(other.agreed()).isLessThan(other.positions() / 2);
    assertThat(other.firstMiss())
        .matches("prompt \\d, token \\d+: expected \\[[0-9, ]+], got \\[[0-9, ]+]");
  }

  @Test
  void everyPositionIsHeldAgainstTheGoldenTokensBeforeIt() {
    // One golden token is made wrong: the engine differs there, and nowhere else.
    GoldenPrompts golden = golden(WEIGHTS);
    Answered first = golden.prompts().get(0);
    int[] answer = first.answerIds().clone();
    answer[answer.length - 1] = (answer[answer.length - 1] + 1) % CONFIG.vocabularySize();
    float[] margins = first.margins().clone();
    margins[answer.length - 1] = 1;
    List<Answered> prompts = new ArrayList<>(golden.prompts());
    prompts.set(0, new Answered(first.promptIds(), answer, margins));
    GoldenCheck.Result result = check(new GoldenPrompts(prompts), WEIGHTS, KeyValueFormat.FULL);
    assertThat(result.positions() - result.agreed()).isOne();
    assertThat(result.firstMiss()).startsWith("prompt 1, token " + answer.length + ": expected [");
    assertThat(result.holds()).isTrue();
    // Where the golden token hardly led, it does not count.
    margins[answer.length - 1] = 0.05f;
    GoldenCheck.Result close = check(new GoldenPrompts(prompts), WEIGHTS, KeyValueFormat.FULL);
    assertThat(close.positions()).isEqualTo(close.agreed()).isEqualTo(result.agreed());
  }

  @Test
  void boundIsATenthAndOneMayAlwaysDiffer() {
    assertThat(new GoldenCheck.Result(64, 58, "x").holds()).isTrue();
    assertThat(new GoldenCheck.Result(64, 57, "x").holds()).isFalse();
    assertThat(new GoldenCheck.Result(30, 27, "x").holds()).isTrue();
    assertThat(new GoldenCheck.Result(5, 4, "x").holds()).isTrue();
    assertThat(new GoldenCheck.Result(5, 3, "x").holds()).isFalse();
    assertThat(new GoldenCheck.Result(1, 0, "x").holds()).isFalse();
    assertThat(new GoldenCheck.Result(0, 0, "").holds()).isTrue();
  }

  @Test
  void promptsThatDoNotFitAreLeftOutAndBadOnesAreNamed() {
    GoldenPrompts golden = golden(WEIGHTS);
    try (GenerationEngine small =
        new GenerationEngine(CONFIG, WEIGHTS, new EngineOptions(2, 16), RuntimeOptions.DEFAULT)) {
      assertThat(GoldenCheck.run(golden, small, PATIENCE).positions()).isLessThan(TOKENS);
      GoldenPrompts bad =
          new GoldenPrompts(List.of(new Answered(new int[] {300}, new int[] {1}, new float[] {1})));
      assertThatThrownBy(() -> GoldenCheck.run(bad, small, PATIENCE))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("300");
    }
  }

  @Test
  void fileGivesBackWhatWasWrittenAndABadOneIsOneLine() throws IOException {
    assertThat(GoldenPrompts.load(folder)).isEmpty();
    GoldenPrompts golden = golden(WEIGHTS);
    golden.save(folder);
    GoldenPrompts loaded = GoldenPrompts.load(folder).orElseThrow();
    for (int i = 0; i < 4; i++) {
      Answered wrote = golden.prompts().get(i);
      Answered read = loaded.prompts().get(i);
      assertThat(read.promptIds()).isEqualTo(wrote.promptIds());
      assertThat(read.answerIds()).isEqualTo(wrote.answerIds());
      for (int t = 0; t < read.margins().length; t++) {
        assertThat((double) read.margins()[t]).isCloseTo((double) wrote.margins()[t], within(6e-4));
      }
    }
    for (String bad :
        List.of(
            "",
            "[",
            "{}",
            "{\"golden\": 2, \"prompts\": []}",
            "{\"golden\": 1, \"prompts\": [{\"prompt\": [1], \"answer\": [\"x\"]}]}",
            "{\"golden\": 1, \"prompts\": [{\"prompt\": [1], \"answer\": [2], \"margins\": []}]}")) {
      Files.writeString(folder.resolve("golden.json"), bad);
      assertThatThrownBy(() -> GoldenPrompts.load(folder))
          .as(bad)
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("golden.json: ")
          .hasMessageContaining("(expected: ");
    }
  }

  private static GoldenPrompts golden(Weights weights) {
    Random random = new Random(3);
    List<int[]> prompts = new ArrayList<>();
    for (int length : new int[] {2, 5, 17, 30}) {
      prompts.add(random.ints(length, 1, CONFIG.vocabularySize()).toArray());
    }
    try (GenerationEngine engine =
        new GenerationEngine(CONFIG, weights, new EngineOptions(4, 64), RuntimeOptions.DEFAULT)) {
      return GoldenPrompts.answer(engine, prompts, TOKENS, Set.of(), PATIENCE);
    }
  }

  private static GoldenCheck.Result check(
      GoldenPrompts golden, Weights weights, KeyValueFormat keyValues) {
    try (GenerationEngine engine =
        new GenerationEngine(
            CONFIG,
            weights,
            new EngineOptions(4, 64, 1 << 20, keyValues),
            RuntimeOptions.DEFAULT)) {
      return GoldenCheck.run(golden, engine, PATIENCE);
    }
  }
}
