package io.reflux.bench.serve;

import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.tokenizer.TokenStream;
import java.util.Set;

/** The generation engine, from text to text. */
final class OwnEngine implements Contender {
  private final BenchStudent student;
  private final GenerationEngine engine;

  OwnEngine(BenchStudent student, EngineOptions options) {
    this.student = student;
    this.engine =
        new GenerationEngine(student.config(), student.weights(), options, RuntimeOptions.DEFAULT);
  }

  @Override
  public Answer answer(String prompt, int tokens) {
    return answer(prompt, tokens, Set.of());
  }

  @Override
  public Answer untilEnd(String prompt, int tokens) {
    return answer(prompt, tokens, student.text().stopIds());
  }

  private Answer answer(String prompt, int tokens, Set<Integer> stopIds) {
    long asked = System.nanoTime();
    TokenStream stream = student.text().tokenizer().stream();
    StringBuilder text = new StringBuilder();
    long[] times = new long[2];
    Generation generation =
        engine
            .submit(
                request(prompt, tokens, stopIds, 0),
                token -> {
                  text.append(stream.push(token.id()));
                  times[1] = System.nanoTime() - asked;
                  if (times[0] == 0) {
                    times[0] = times[1];
                  }
                })
            .result()
            .join();
    return new Answer(
        text.append(stream.finish()).toString(), generation.tokens().size(), times[0], times[1]);
  }

  /** With the whole distribution of every token. */
  Generation distributions(String prompt, int tokens) {
    return engine
        .submit(request(prompt, tokens, Set.of(), student.config().vocabularySize()), null)
        .result()
        .join();
  }

  private GenerationRequest request(
      String prompt, int tokens, Set<Integer> stopIds, int topLogprobs) {
    return new GenerationRequest(
        student.promptIds(prompt), tokens, SamplingOptions.GREEDY, stopIds, topLogprobs);
  }

  @Override
  public void close() {
    engine.close();
  }
}
