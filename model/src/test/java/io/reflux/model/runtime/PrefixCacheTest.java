package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PrefixCacheTest {
  private static final SmallModels MODEL = SmallModels.QWEN3_WITH_HEAD_NORMS_AND_WIDE_HEADS;
  private static final int POSITIONS = 300;
  private static final ModelConfig CONFIG = MODEL.withPositions(POSITIONS);
  private static final int BLOCK = 64;
  private static final Weights WEIGHTS = RandomModel.variedWeights(CONFIG, 11);

  @Test
  void answersAreTheSameToTheBitWithBeginningsReusedAndRead() throws Exception {
    for (Weights weights :
        List.of(WEIGHTS, Quantiser.of(WeightFormat.INT8).quantise(CONFIG, WEIGHTS))) {
      int[] whole = MODEL.tokens(POSITIONS - 20, 3);
      List<int[]> prompts = new ArrayList<>();
      for (int length : List.of(1, 63, 64, 65, 128, 150, 191, 192, POSITIONS - 20)) {
        prompts.add(Arrays.copyOf(whole, length));
        int[] other = Arrays.copyOf(whole, length);
        other[length - 1] = (other[length - 1] + 1) % CONFIG.vocabularySize();
        prompts.add(other);
      }
      try (GenerationEngine cold = engine(weights, 0);
          GenerationEngine warm = engine(weights, 64 << 20)) {
        for (int round = 0; round < 2; round++) {
          for (int[] prompt : prompts) {
            SamplingOptions sampling = new SamplingOptions(0.9, 0.95, 0, prompt.length + round);
            Generation expected = ask(cold, prompt, sampling);
            Generation reused = ask(warm, prompt, sampling);
            assertThat(reused.tokens())
                .usingRecursiveComparison()
                .as("%s tokens, round %s", prompt.length, round)
                .isEqualTo(expected.tokens());
            assertThat(expected.cachedPromptTokens()).isZero();
            if (round == 1) {
              assertThat(reused.cachedPromptTokens()).isEqualTo(prompt.length);
            }
          }
        }
        assertThat(warm.promptTokensReused()).isGreaterThan(warm.promptTokensRead());
      }
    }
  }

  @Test
  void candidatesOfOnePromptReadItOnce() throws Exception {
    int[] prompt = MODEL.tokens(200, 5);
    try (GenerationEngine engine = engine(WEIGHTS, 64 << 20)) {
      List<GenerationHandle> handles = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        handles.add(engine.submit(request(prompt, new SamplingOptions(1, 1, 0, i)), null));
      }
      Set<List<Integer>> different = new java.util.HashSet<>();
      for (GenerationHandle handle : handles) {
        Generation generation = handle.result().get(30, TimeUnit.SECONDS);
        different.add(Arrays.stream(generation.tokenIds()).boxed().toList());
      }
      assertThat(engine.promptTokensRead()).isEqualTo(200);
      assertThat(engine.promptTokensReused()).isEqualTo(11 * 200);
      assertThat(different).hasSizeGreaterThan(6);
    }
  }

  @Test
  void memoryStaysInItsBoundsAndWhatWasUsedLastStays() throws Exception {
    int blockBytes = BLOCK * positionBytes(CONFIG);
    long budget = 6L * blockBytes + 1000;
    int[] kept = MODEL.tokens(140, 1);
    try (GenerationEngine engine = engine(WEIGHTS, budget)) {
      for (int i = 0; i < 40; i++) {
        ask(engine, MODEL.tokens(70 + i, 100 + i), SamplingOptions.GREEDY);
        Generation again = ask(engine, kept, SamplingOptions.GREEDY);
        if (i > 0) {
          assertThat(again.cachedPromptTokens()).isEqualTo(140);
        }
        assertThat(engine.prefixCacheBytes()).isLessThanOrEqualTo(budget);
      }
      assertThat(ask(engine, MODEL.tokens(70, 100), SamplingOptions.GREEDY).cachedPromptTokens())
          .isZero();
    }
  }

  @Test
  void promptLargerThanTheCacheIsReadAllTheSame() throws Exception {
    int blockBytes = BLOCK * positionBytes(CONFIG);
    int[] prompt = MODEL.tokens(POSITIONS - 20, 1);
    try (GenerationEngine none = engine(WEIGHTS, 0);
        GenerationEngine engine = engine(WEIGHTS, blockBytes)) {
      Generation expected = ask(none, prompt, SamplingOptions.GREEDY);
      for (int i = 0; i < 3; i++) {
        Generation generation = ask(engine, prompt, SamplingOptions.GREEDY);
        assertThat(generation.tokenIds()).isEqualTo(expected.tokenIds());
        assertThat(generation.cachedPromptTokens()).isLessThanOrEqualTo(BLOCK);
      }
      assertThat(engine.prefixCacheBytes()).isLessThanOrEqualTo(blockBytes);
    }
  }

  @Test
  void aCancelledPromptLeavesNothingWrongBehind() throws Exception {
    int[] prompt = MODEL.tokens(POSITIONS - 20, 8);
    try (GenerationEngine none = engine(WEIGHTS, 0);
        GenerationEngine engine = engine(WEIGHTS, 64 << 20)) {
      Generation expected = ask(none, prompt, SamplingOptions.GREEDY);
      CountDownLatch begun = new CountDownLatch(1);
      GenerationHandle cancelled =
          engine.submit(request(prompt, SamplingOptions.GREEDY), token -> begun.countDown());
      assertThat(begun.await(30, TimeUnit.SECONDS)).isTrue();
      cancelled.cancel();
      assertThat(ask(engine, prompt, SamplingOptions.GREEDY).tokenIds())
          .isEqualTo(expected.tokenIds());
    }
  }

  private static int positionBytes(ModelConfig config) {
    int headSize = (config.headSize() + 15) / 16 * 16;
    return config.layers() * 2 * config.keyValueHeads() * headSize * Float.BYTES;
  }

  private static GenerationEngine engine(Weights weights, long prefixCacheBytes) {
    return new GenerationEngine(
        CONFIG,
        weights,
        new EngineOptions(4, POSITIONS).withPrefixCache(prefixCacheBytes),
        RuntimeOptions.DEFAULT);
  }

  private static Generation ask(GenerationEngine engine, int[] prompt, SamplingOptions sampling)
      throws Exception {
    return engine.submit(request(prompt, sampling), null).result().get(30, TimeUnit.SECONDS);
  }

  private static GenerationRequest request(int[] prompt, SamplingOptions sampling) {
    return new GenerationRequest(prompt, 8, sampling, Set.of(), 2);
  }
}
