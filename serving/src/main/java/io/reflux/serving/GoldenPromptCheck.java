package io.reflux.serving;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.golden.GoldenCheck;
import io.reflux.model.golden.GoldenPrompts;
import io.reflux.model.runtime.GenerationEngine;
import java.time.Duration;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Asks a version the golden prompts that it brings along, then those of the fleet. */
final class GoldenPromptCheck {
  private static final Logger log = LoggerFactory.getLogger(GoldenPromptCheck.class);
  private static final Duration PATIENCE = Duration.ofMinutes(2);

  private final Optional<GoldenFile> fleets;

  GoldenPromptCheck(Optional<GoldenFile> fleets) {
    this.fleets = fleets;
  }

  /**
   * Why it must not serve, in a line; empty if it may.
   *
   * @throws ModelException if it does not answer at all
   */
  Optional<String> problem(String channel, LanguageModel model, GenerationEngine engine) {
    Optional<String> own =
        GoldenPrompts.load(model.directory()).flatMap(golden -> own(channel, golden, engine));
    return own.isPresent() ? own : fleets.flatMap(golden -> golden.check(model, engine, PATIENCE));
  }

  private static Optional<String> own(
      String channel, GoldenPrompts golden, GenerationEngine engine) {
    GoldenCheck.Result result = GoldenCheck.run(golden, engine, PATIENCE);
    log.info(
        "channel {}: the trainer's answers at {} of {} golden positions",
        channel,
        result.agreed(),
        result.positions());
    return result.holds()
        ? Optional.empty()
        : Optional.of(
            "golden %s; %d of %d positions agree with the trainer's (expected: at least %.0f %%)"
                .formatted(
                    result.firstMiss(),
                    result.agreed(),
                    result.positions(),
                    100 * GoldenCheck.LEAST_AGREEMENT));
  }
}
