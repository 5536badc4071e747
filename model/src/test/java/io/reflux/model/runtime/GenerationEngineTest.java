package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.Generation.FinishReason;
import io.reflux.model.runtime.Generation.Token;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@Timeout(60)
class GenerationEngineTest {
  private static final SmallModels MODEL = SmallModels.LLAMA_WITH_LLAMA3_SCALING;
  private static final ModelConfig CONFIG = MODEL.config();
  private static final Weights WEIGHTS = RandomModel.variedWeights(CONFIG, 11);

  @ParameterizedTest
  @EnumSource
  void greedyTokensAreTheLikeliestOfTheDoubleForward(SmallModels model) throws Exception {
    Weights weights = RandomModel.variedWeights(model.config(), 11);
    int[] prompt = model.tokens(9, 2);
    Generation generation;
    try (GenerationEngine engine =
        new GenerationEngine(
            model.config(), weights, new EngineOptions(2, 64), RuntimeOptions.DEFAULT)) {
      generation = result(engine.submit(request(prompt, 20, SamplingOptions.GREEDY, 3), null));
    }
    int[] sequence = concat(prompt, generation.tokenIds());
    double[][] logits = ReferenceForward.logits(model.config(), weights, sequence);
    for (int i = 0; i < 20; i++) {
      double[] truth = ReferenceForward.logSoftmax(logits[prompt.length + i - 1]);
      Token token = generation.tokens().get(i);
      // Of two near-equal tokens either may win in float32.
      assertThat(truth[token.id()]).isGreaterThan(truth[ReferenceForward.argmax(truth)] - 1e-4);
      assertThat(Math.abs(token.logprob() - truth[token.id()])).isLessThan(1e-4);
      assertThat(token.topIds()).hasSize(3).startsWith(token.id());
      assertThat(token.topLogprobs()[0]).isEqualTo(token.logprob());
      assertThat(token.topLogprobs()[1]).isBetween(token.topLogprobs()[2], token.logprob());
    }
  }

  @Test
  void requestsGetTheSameTokensAloneAndInACrowd() throws Exception {
    for (Weights weights :
        List.of(WEIGHTS, Quantiser.of(WeightFormat.INT8).quantise(CONFIG, WEIGHTS))) {
      List<GenerationRequest> requests = new ArrayList<>();
      for (int i = 0; i < 24; i++) {
        SamplingOptions sampling =
            switch (i % 4) {
              case 0 -> SamplingOptions.GREEDY;
              case 1 -> new SamplingOptions(1, 1, 0, i);
              case 2 -> new SamplingOptions(0.7, 0.9, 0, i);
              default -> new SamplingOptions(1.5, 0.95, 12, i);
            };
        requests.add(request(MODEL.tokens(1 + (i * 13) % 40, i), 3 + (i * 7) % 30, sampling, 2));
      }
      List<Generation> alone = new ArrayList<>();
      try (GenerationEngine engine = engine(1, weights)) {
        for (GenerationRequest request : requests) {
          alone.add(result(engine.submit(request, null)));
        }
      }
      try (GenerationEngine engine = engine(5, weights)) {
        List<GenerationHandle> handles =
            requests.stream().map(request -> engine.submit(request, null)).toList();
        for (int i = 0; i < requests.size(); i++) {
          Generation together = result(handles.get(i));
          assertThat(together).usingRecursiveComparison().isEqualTo(alone.get(i));
          assertThat(together.tokens()).hasSize(requests.get(i).maxTokens());
        }
      }
    }
  }

  @Test
  void stopIdsEndAContinuationAndAreItsLastToken() throws Exception {
    try (GenerationEngine engine = engine(2, WEIGHTS)) {
      int[] prompt = MODEL.tokens(6, 4);
      int[] free =
          result(engine.submit(request(prompt, 12, SamplingOptions.GREEDY, 0), null)).tokenIds();
      GenerationRequest stopped =
          new GenerationRequest(prompt, 12, SamplingOptions.GREEDY, Set.of(free[4]), 0);
      List<Integer> told = new ArrayList<>();
      Generation generation = result(engine.submit(stopped, token -> told.add(token.id())));
      assertThat(generation.finishReason()).isEqualTo(FinishReason.STOP);
      int first = Arrays.stream(free).boxed().toList().indexOf(free[4]);
      assertThat(generation.tokenIds()).isEqualTo(Arrays.copyOf(free, first + 1));
      assertThat(told)
          .containsExactlyElementsOf(Arrays.stream(generation.tokenIds()).boxed().toList());
    }
  }

  @Test
  void continuationsEndWhereThePositionsDo() throws Exception {
    try (GenerationEngine engine = engine(2, WEIGHTS)) {
      Generation cut =
          result(
              engine.submit(request(MODEL.tokens(60, 1), 1000, SamplingOptions.GREEDY, 0), null));
      assertThat(cut.finishReason()).isEqualTo(FinishReason.LENGTH);
      assertThat(cut.tokens()).hasSize(4);
      assertThat(
              result(
                      engine.submit(
                          request(MODEL.tokens(63, 1), 5, SamplingOptions.GREEDY, 0), null))
                  .tokens())
          .hasSize(1);
    }
  }

  @Test
  void impossibleRequestsAreRefusedInOneLine() {
    try (GenerationEngine engine = engine(2, WEIGHTS)) {
      assertThatThrownBy(
              () -> engine.submit(request(MODEL.tokens(64, 1), 5, SamplingOptions.GREEDY, 0), null))
          .isInstanceOf(ModelException.class)
          .hasMessage("prompt: 64 tokens (expected: 1 to 63, so that one more fits)");
      assertThatThrownBy(
              () -> engine.submit(request(new int[] {3, 61}, 5, SamplingOptions.GREEDY, 0), null))
          .isInstanceOf(ModelException.class)
          .hasMessage("prompt: token id: 61 at 1 (expected: 0 to 60)");
      assertThatThrownBy(
              () -> engine.submit(request(new int[] {3}, 0, SamplingOptions.GREEDY, 0), null))
          .isInstanceOf(ModelException.class)
          .hasMessage("max tokens: 0 (expected: at least 1)");
    }
  }

  @Test
  void longPromptsAreReadInPartsWhileOthersGoOn() throws Exception {
    ModelConfig config = MODEL.withPositions(1024);
    Weights weights = RandomModel.variedWeights(config, 11);
    GenerationRequest longOne = request(MODEL.tokens(900, 1), 10, SamplingOptions.GREEDY, 0);
    try (GenerationEngine engine =
        new GenerationEngine(config, weights, new EngineOptions(4, 1024), RuntimeOptions.DEFAULT)) {
      Generation alone = result(engine.submit(longOne, null));
      CountDownLatch under = new CountDownLatch(1);
      GenerationHandle small =
          engine.submit(
              request(MODEL.tokens(4, 2), 200, new SamplingOptions(1, 1, 0, 1), 0),
              token -> under.countDown());
      assertThat(under.await(30, TimeUnit.SECONDS)).isTrue();
      Generation beside = result(engine.submit(longOne, null));
      assertThat(beside).usingRecursiveComparison().isEqualTo(alone);
      assertThat(result(small).tokens()).hasSize(200);
    }
  }

  @Test
  void cancellingEndsOneRequestAlone() throws Exception {
    try (GenerationEngine engine = engine(1, WEIGHTS)) {
      CountDownLatch begun = new CountDownLatch(1);
      CountDownLatch cancelled = new CountDownLatch(1);
      GenerationHandle running =
          engine.submit(
              request(MODEL.tokens(4, 2), 60, SamplingOptions.GREEDY, 0),
              token -> {
                begun.countDown();
                awaitQuietly(cancelled);
              });
      GenerationHandle queued =
          engine.submit(request(MODEL.tokens(4, 3), 60, SamplingOptions.GREEDY, 0), null);
      GenerationHandle after =
          engine.submit(request(MODEL.tokens(4, 3), 5, SamplingOptions.GREEDY, 0), null);
      assertThat(begun.await(30, TimeUnit.SECONDS)).isTrue();
      assertThat(engine.queued()).isEqualTo(2);
      queued.cancel();
      assertThat(result(queued)).isEqualTo(new Generation(List.of(), FinishReason.CANCELLED));
      running.cancel();
      cancelled.countDown();
      assertThat(result(running).finishReason()).isEqualTo(FinishReason.CANCELLED);
      assertThat(result(running).tokens()).hasSizeBetween(1, 59);
      assertThat(result(after).tokens()).hasSize(5);
      assertThat(engine.queued()).isZero();
    }
  }

  @Test
  void aListenerThatThrowsFailsItsOwnRequestOnly() throws Exception {
    try (GenerationEngine engine = engine(3, WEIGHTS)) {
      GenerationRequest request = request(MODEL.tokens(4, 2), 40, SamplingOptions.GREEDY, 0);
      GenerationHandle bad =
          engine.submit(
              request,
              token -> {
                throw new IllegalStateException("listener");
              });
      GenerationHandle good = engine.submit(request, null);
      assertThatThrownBy(() -> result(bad))
          .isInstanceOf(ExecutionException.class)
          .hasRootCauseMessage("listener");
      assertThat(result(good).tokens()).hasSize(40);
    }
  }

  @Test
  void closingWhileBusyEndsEveryRequest() throws Exception {
    GenerationEngine engine = engine(2, WEIGHTS);
    CountDownLatch begun = new CountDownLatch(1);
    CountDownLatch closing = new CountDownLatch(1);
    List<GenerationHandle> handles = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      handles.add(
          engine.submit(
              request(MODEL.tokens(4, i), 60, SamplingOptions.GREEDY, 0),
              token -> {
                begun.countDown();
                await(closing);
              }));
    }
    await(begun);
    Thread closer = new Thread(engine::close);
    closer.start();
    // Waiting for the engine's thread, which a listener holds up until then.
    while (closer.getState() != Thread.State.TIMED_WAITING) {
      Thread.onSpinWait();
    }
    closing.countDown();
    closer.join();
    for (GenerationHandle handle : handles) {
      assertThat(handle.result()).isDone();
    }
    assertThat(result(handles.get(9)).finishReason()).isEqualTo(FinishReason.CANCELLED);
    assertThat(engine.active()).isZero();
    assertThatThrownBy(
            () -> engine.submit(request(new int[] {1}, 1, SamplingOptions.GREEDY, 0), null))
        .isInstanceOf(RejectedExecutionException.class);
    engine.close();
  }

  @Test
  void closingFromAListenerDoesNotHang() throws Exception {
    GenerationEngine engine = engine(2, WEIGHTS);
    GenerationHandle handle =
        engine.submit(
            request(MODEL.tokens(4, 1), 60, SamplingOptions.GREEDY, 0), token -> engine.close());
    assertThat(result(handle).finishReason()).isEqualTo(FinishReason.CANCELLED);
    engine.close();
  }

  @Test
  void drainingFinishesWhatWasTaken() throws Exception {
    try (GenerationEngine engine = engine(2, WEIGHTS)) {
      List<GenerationHandle> handles = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        handles.add(
            engine.submit(request(MODEL.tokens(4, i), 30, SamplingOptions.GREEDY, 0), null));
      }
      assertThat(engine.drain(Duration.ofSeconds(30))).isTrue();
      for (GenerationHandle handle : handles) {
        assertThat(result(handle).tokens()).hasSize(30);
      }
      assertThatThrownBy(
              () -> engine.submit(request(new int[] {1}, 1, SamplingOptions.GREEDY, 0), null))
          .isInstanceOf(RejectedExecutionException.class);
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(30, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static GenerationEngine engine(int slots, Weights weights) {
    return new GenerationEngine(
        CONFIG, weights, new EngineOptions(slots, 64), RuntimeOptions.DEFAULT);
  }

  private static GenerationRequest request(
      int[] prompt, int maxTokens, SamplingOptions sampling, int topLogprobs) {
    return new GenerationRequest(prompt, maxTokens, sampling, Set.of(), topLogprobs);
  }

  private static Generation result(GenerationHandle handle) throws Exception {
    return handle.result().get(30, TimeUnit.SECONDS);
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static int[] concat(int[] a, int[] b) {
    int[] both = Arrays.copyOf(a, a.length + b.length);
    System.arraycopy(b, 0, both, a.length, b.length);
    return both;
  }
}
