package io.reflux.compress;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.pretrain.PromptResponse;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Texts in a model's tokens, some to calibrate on and others to measure on: what was calibrated on
 * looks better than it is.
 *
 * @param calibration four lines of five
 * @param heldOut the fifth
 */
public record Texts(List<int[]> calibration, List<int[]> heldOut) {
  private static final int LEAST_LINES = 10;
  private static final int HELD_OUT_EVERY = 5;

  /**
   * Reads lines of prompts and responses.
   *
   * @param most lines to take, evenly spread over the file
   * @throws RefluxException one line, if the file is not one of these or has too few
   */
  public static Texts read(String option, Path file, LanguageModel model, int most) {
    List<PromptResponse> lines;
    try {
      lines = PromptResponse.read(file);
    } catch (ModelException e) {
      throw new RefluxException(option + ": " + e.getMessage(), e);
    }
    if (lines.size() < LEAST_LINES) {
      throw new RefluxException(
          "%s: %s: %d lines (expected: at least %d)"
              .formatted(option, file, lines.size(), LEAST_LINES));
    }
    List<int[]> calibration = new ArrayList<>();
    List<int[]> heldOut = new ArrayList<>();
    int count = Math.min(most, lines.size());
    for (int i = 0; i < count; i++) {
      PromptResponse line = lines.get((int) ((long) i * lines.size() / count));
      int[] ids = ids(model, line);
      (i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 ? heldOut : calibration).add(ids);
    }
    return new Texts(calibration, heldOut);
  }

  /** Cut at the model's longest sequence. */
  private static int[] ids(LanguageModel model, PromptResponse line) {
    int[] ids = model.text().exchangeIds(line.prompt(), line.response());
    return Arrays.copyOf(ids, Math.min(ids.length, model.config().maxPositions()));
  }

  static long tokens(List<int[]> sequences) {
    return sequences.stream().mapToLong(ids -> ids.length).sum();
  }
}
