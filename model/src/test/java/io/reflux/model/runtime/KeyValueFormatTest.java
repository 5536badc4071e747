package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.onnxruntime.OrtException;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class KeyValueFormatTest {
  private static final double KL_TOLERANCE = 2e-3;

  @ParameterizedTest
  @EnumSource
  void eightBitsCostLittleOfTheDistribution(SmallModels model) throws OrtException {
    ModelConfig config = model.config();
    Weights weights = RandomModel.variedWeights(config, 3);
    int[] tokens = model.tokens(40, 5);
    double[][] truth = ReferenceForward.logits(config, weights, tokens);
    float[] logprobs = new float[config.vocabularySize()];
    EngineOptions options = new EngineOptions(3, 64).withKeyValues(KeyValueFormat.INT8);
    try (DecodeSession session =
        new DecodeSession(config, weights, options, 16, RuntimeOptions.DEFAULT)) {
      session.prefill(1, tokens, 0, 16);
      session.prefill(1, tokens, 16, 23);
      session.move(1, 0, 23);
      double worst = 0;
      for (int t = 23; t < tokens.length; t++) {
        session.feed(0, tokens[t], t);
        session.step(1);
        session.logprobs(0, logprobs);
        worst = Math.max(worst, divergence(ReferenceForward.logSoftmax(truth[t]), logprobs));
      }
      assertThat(worst).isLessThan(KL_TOLERANCE);
    }
  }

  @Test
  void prefixesAreReusedInEightBitsAsWell() throws Exception {
    SmallModels model = SmallModels.QWEN3_WITH_HEAD_NORMS_AND_WIDE_HEADS;
    ModelConfig config = model.withPositions(200);
    Weights weights = RandomModel.variedWeights(config, 3);
    EngineOptions options =
        new EngineOptions(3, 200).withKeyValues(KeyValueFormat.INT8).withPrefixCache(8L << 20);
    try (GenerationEngine engine =
        new GenerationEngine(config, weights, options, RuntimeOptions.DEFAULT)) {
      GenerationRequest request =
          new GenerationRequest(
              model.tokens(150, 1), 20, new SamplingOptions(1, 1, 0, 4), Set.of(), 0);
      Generation first = engine.submit(request, null).result().get(30, TimeUnit.SECONDS);
      Generation second = engine.submit(request, null).result().get(30, TimeUnit.SECONDS);
      assertThat(second.cachedPromptTokens()).isEqualTo(150);
      assertThat(second.tokens()).usingRecursiveComparison().isEqualTo(first.tokens());
    }
  }

  @Test
  void namesAreReadAndOthersRefused() {
    assertThat(KeyValueFormat.parse("INT8")).isEqualTo(KeyValueFormat.INT8);
    assertThat(KeyValueFormat.parse("full")).hasToString("full");
    assertThatThrownBy(() -> KeyValueFormat.parse("int4"))
        .isInstanceOf(ModelException.class)
        .hasMessage("key-value format: int4 (expected: full or int8)");
  }

  private static double divergence(double[] truth, float[] logprobs) {
    double sum = 0;
    for (int i = 0; i < truth.length; i++) {
      sum += Math.exp(truth[i]) * (truth[i] - logprobs[i]);
    }
    return sum;
  }
}
