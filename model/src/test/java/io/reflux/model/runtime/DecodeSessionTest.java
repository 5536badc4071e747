package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.onnxruntime.OrtException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.reference.ReferenceForward;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DecodeSessionTest {
  private static final double TOLERANCE = 1e-4;
  private static final int CHUNK = 8;

  @ParameterizedTest
  @EnumSource
  void decodingAndChunkedPrefillAreTheDoubleForward(SmallModels model) throws OrtException {
    ModelConfig config = model.config();
    Weights weights = RandomModel.variedWeights(config, 3);
    int[] tokens = model.tokens(40, 5);
    double[][] truth = ReferenceForward.logits(config, weights, tokens);
    float[] logprobs = new float[config.vocabularySize()];
    try (DecodeSession session = open(config, weights)) {
      // Past the window and in uneven parts, then one by one.
      session.prefill(1, tokens, 0, 8);
      assertLogprobs(session, 0, truth[7], logprobs);
      session.prefill(1, tokens, 8, 11);
      assertLogprobs(session, 0, truth[10], logprobs);
      session.move(1, 0, 11);
      for (int t = 11; t < tokens.length; t++) {
        session.feed(0, tokens[t], t);
        session.step(1);
        assertLogprobs(session, 0, truth[t], logprobs);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aSlotDecodesToTheSameBitsWhateverIsBesideIt(SmallModels model) throws OrtException {
    ModelConfig config = model.config();
    Weights floats = RandomModel.variedWeights(config, 3);
    for (WeightFormat format : WeightFormat.values()) {
      Weights weights = Quantiser.of(format).quantise(config, floats);
      int[] tokens = model.tokens(20, 5);
      try (DecodeSession session = open(config, weights)) {
        float[][] alone = new float[12][];
        session.prefill(0, tokens, 0, 8);
        for (int t = 8; t < tokens.length; t++) {
          session.feed(0, tokens[t], t);
          session.step(1);
          alone[t - 8] = row(session, config, 0);
        }
        for (int beside = 1; beside < 7; beside++) {
          for (int slot = 0; slot <= beside; slot++) {
            session.prefill(slot, tokens, 0, slot == beside ? 8 : 1 + slot);
          }
          for (int t = 8; t < tokens.length; t++) {
            for (int slot = 0; slot < beside; slot++) {
              session.feed(slot, tokens[t - slot], 1 + slot + t - 8);
            }
            session.feed(beside, tokens[t], t);
            session.step(beside + 1);
            assertThat(row(session, config, beside)).isEqualTo(alone[t - 8]);
          }
        }
      }
    }
  }

  /** Mean absolute error of log-probs: products round activations to 8 bits, but for floats. */
  @ParameterizedTest
  @EnumSource
  void everyFormatDecodesAsTheDoubleForwardOfItsWeights(SmallModels model) throws OrtException {
    ModelConfig config = model.config();
    int[] tokens = model.tokens(12, 5);
    for (WeightFormat format : WeightFormat.values()) {
      Weights weights = Quantiser.of(format).quantise(config, RandomModel.variedWeights(config, 3));
      double[][] truth = ReferenceForward.logits(config, weights, tokens);
      double tolerance =
          format == WeightFormat.INT8 || format == WeightFormat.INT4 ? 0.06 : TOLERANCE;
      try (DecodeSession session = open(config, weights)) {
        session.prefill(0, tokens, 0, 8);
        double error = 0;
        for (int t = 8; t < tokens.length; t++) {
          session.feed(0, tokens[t], t);
          session.step(1);
          double[] logprobs = ReferenceForward.logSoftmax(truth[t]);
          float[] decoded = row(session, config, 0);
          for (int i = 0; i < decoded.length; i++) {
            error += Math.abs(decoded[i] - logprobs[i]) / decoded.length;
          }
        }
        assertThat(error / (tokens.length - 8)).isLessThan(tolerance);
      }
    }
  }

  private static DecodeSession open(ModelConfig config, Weights weights) {
    return new DecodeSession(
        config, weights, new EngineOptions(7, 48), CHUNK, RuntimeOptions.DEFAULT);
  }

  private static float[] row(DecodeSession session, ModelConfig config, int row) {
    float[] logprobs = new float[config.vocabularySize()];
    session.logprobs(row, logprobs);
    return logprobs;
  }

  private static void assertLogprobs(
      DecodeSession session, int row, double[] logits, float[] logprobs) {
    session.logprobs(row, logprobs);
    double[] truth = ReferenceForward.logSoftmax(logits);
    for (int i = 0; i < truth.length; i++) {
      assertThat((double) logprobs[i]).isCloseTo(truth[i], within(TOLERANCE));
    }
  }
}
