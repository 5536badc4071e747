package io.reflux.model.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.RuntimeOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class FidelityTest {
  private static final ModelConfig CONFIG = RandomModel.config(Architecture.QWEN3, 3);
  private static final Weights ORIGINAL = RandomModel.variedWeights(CONFIG, 1);
  private static final Weights OTHER = RandomModel.variedWeights(CONFIG, 2);
  private static final List<int[]> TEXTS = texts();

  @Test
  void figuresAreThoseOfTheWholeDistributionsInDoubles() {
    double kl = 0;
    double logProbability = 0;
    double originalLogProbability = 0;
    int agreed = 0;
    int tokens = 0;
    for (int[] ids : TEXTS) {
      double[][] p = ReferenceForward.logits(CONFIG, ORIGINAL, ids);
      double[][] q = ReferenceForward.logits(CONFIG, OTHER, ids);
      for (int i = 1; i < ids.length; i++) {
        double[] logP = ReferenceForward.logSoftmax(p[i - 1]);
        double[] logQ = ReferenceForward.logSoftmax(q[i - 1]);
        for (int id = 0; id < logP.length; id++) {
          kl += Math.exp(logP[id]) * (logP[id] - logQ[id]);
        }
        agreed += ReferenceForward.argmax(logP) == ReferenceForward.argmax(logQ) ? 1 : 0;
        originalLogProbability += logP[ids[i]];
        logProbability += logQ[ids[i]];
        tokens++;
      }
    }

    Fidelity fidelity = Fidelity.prepare(CONFIG, ORIGINAL, TEXTS, RuntimeOptions.DEFAULT);
    Fidelity.Marks marks = fidelity.of(CONFIG, OTHER);

    double perplexity = Math.exp(-originalLogProbability / tokens);
    double others = Math.exp(-logProbability / tokens);
    assertThat(marks.tokens()).isEqualTo(tokens);
    assertThat(marks.kl()).isCloseTo(kl / tokens, within(1e-4));
    assertThat(marks.agreement()).isCloseTo((double) agreed / tokens, within(1e-9));
    assertThat(fidelity.perplexity()).isCloseTo(perplexity, within(1e-4 * perplexity));
    assertThat(marks.perplexity()).isCloseTo(others, within(1e-4 * others));
    assertThat(marks.perplexityChange()).isCloseTo(others / perplexity - 1, within(2e-4));
  }

  @Test
  void modelIsLikeItself() {
    Fidelity.Marks marks =
        Fidelity.prepare(CONFIG, ORIGINAL, TEXTS, RuntimeOptions.DEFAULT).of(CONFIG, ORIGINAL);

    assertThat(marks.kl()).isCloseTo(0, within(1e-6));
    assertThat(marks.agreement()).isEqualTo(1);
    assertThat(marks.perplexityChange()).isCloseTo(0, within(1e-6));
  }

  @Test
  void textsOfOneTokenSayNothing() {
    assertThatThrownBy(
            () ->
                Fidelity.prepare(CONFIG, ORIGINAL, List.of(new int[] {1}), RuntimeOptions.DEFAULT))
        .isInstanceOf(ModelException.class)
        .hasMessage("text: 1 tokens (expected: at least 2)");
  }

  @Test
  void speedsAreCounted() {
    try (Throughput throughput = new Throughput(CONFIG, ORIGINAL, RuntimeOptions.DEFAULT)) {
      Throughput.Speed speed = throughput.run(1);

      assertThat(speed.prefill()).isPositive().isFinite();
      assertThat(speed.decode()).isPositive().isFinite();
    }
    assertThat(
            Throughput.Speed.median(
                List.of(
                    new Throughput.Speed(3, 1),
                    new Throughput.Speed(1, 2),
                    new Throughput.Speed(2, 9))))
        .isEqualTo(new Throughput.Speed(2, 2));
  }

  private static List<int[]> texts() {
    Random random = new Random(4);
    List<int[]> texts = new ArrayList<>();
    for (int i = 0; i < 12; i++) {
      texts.add(random.ints(2 + random.nextInt(20), 0, CONFIG.vocabularySize()).toArray());
    }
    return texts;
  }
}
