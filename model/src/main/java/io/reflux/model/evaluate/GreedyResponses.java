package io.reflux.model.evaluate;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletionException;

/** What a model answers when it always takes the likeliest token. */
final class GreedyResponses {
  private GreedyResponses() {}

  /**
   * Answers all prompts, as many at a time as there are slots.
   *
   * @return token ids a prompt, in order, the stop token included when one came
   */
  static List<int[]> of(
      LanguageModel model,
      List<int[]> promptIds,
      int maxTokens,
      int slots,
      RuntimeOptions runtime) {
    if (promptIds.isEmpty()) {
      return List.of();
    }
    int longest = promptIds.stream().mapToInt(ids -> ids.length).max().getAsInt();
    int mostPositions = model.config().maxPositions();
    if (longest >= mostPositions) {
      throw new ModelException(
          "%s: prompt of %d tokens (expected: fewer than the model's %d positions)"
              .formatted(model.directory(), longest, mostPositions));
    }
    int positions = (int) Math.min(mostPositions, (long) longest + maxTokens);
    EngineOptions options = new EngineOptions(Math.min(slots, promptIds.size()), positions);
    try (GenerationEngine engine =
        new GenerationEngine(model.config(), model.weights(), options, runtime)) {
      List<GenerationHandle> handles = new ArrayList<>(promptIds.size());
      for (int[] ids : promptIds) {
        GenerationRequest request =
            new GenerationRequest(ids, maxTokens, SamplingOptions.GREEDY, model.stopIds(), 0);
        handles.add(engine.submit(request, null));
      }
      List<int[]> responses = new ArrayList<>(handles.size());
      for (GenerationHandle handle : handles) {
        responses.add(handle.result().join().tokenIds());
      }
      return responses;
    } catch (CompletionException e) {
      throw e.getCause() instanceof ModelException cause ? cause : e;
    }
  }
}
