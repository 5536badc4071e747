package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.golden.GoldenPrompts;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.RuntimeOptions;
import java.nio.IntBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Puts golden prompts into a snapshot: the newest held-out ones, as its own artefact answers. */
final class GoldenWriter {
  /** Longer prompts would make every fleet wait. */
  private static final int MOST_PROMPT_TOKENS = 256;

  private static final int ANSWER_TOKENS = 16;
  private static final int MOST_SLOTS = 4;
  private static final Duration PATIENCE = Duration.ofMinutes(2);

  private GoldenWriter() {}

  /**
   * Writes the file beside the artefact's others; none where nothing fitting is held out.
   *
   * @param artefact as it ships
   * @param count prompts, at most
   * @param heldOut oldest first
   */
  static void write(LanguageModel artefact, int count, List<LabelledSequence> heldOut) {
    int room = artefact.config().maxPositions() - ANSWER_TOKENS;
    List<int[]> prompts = choose(count, heldOut, Math.min(MOST_PROMPT_TOKENS, room));
    if (prompts.isEmpty()) {
      return;
    }
    int longest = prompts.stream().mapToInt(prompt -> prompt.length).max().orElseThrow();
    EngineOptions options =
        new EngineOptions(Math.min(MOST_SLOTS, prompts.size()), longest + ANSWER_TOKENS);
    Path directory = artefact.directory();
    try (GenerationEngine engine =
        new GenerationEngine(
            artefact.config(), artefact.weights(), options, RuntimeOptions.DEFAULT)) {
      GoldenPrompts.answer(engine, prompts, ANSWER_TOKENS, artefact.stopIds(), PATIENCE)
          .save(directory);
    }
  }

  /** The newest of each segment in turns, so that a quiet one is among them; none twice. */
  private static List<int[]> choose(int count, List<LabelledSequence> heldOut, int mostTokens) {
    List<int[]> chosen = new ArrayList<>();
    Set<IntBuffer> known = new HashSet<>();
    Set<String> segments = new HashSet<>();
    for (boolean more = true; more && chosen.size() < count; ) {
      more = false;
      segments.clear();
      for (int i = heldOut.size() - 1; i >= 0 && chosen.size() < count; i--) {
        LabelledSequence sequence = heldOut.get(i);
        int[] prompt = Arrays.copyOf(sequence.tokenIds(), sequence.promptLength());
        if (prompt.length >= 1
            && prompt.length <= mostTokens
            && !segments.contains(sequence.segment())
            && known.add(IntBuffer.wrap(prompt))) {
          segments.add(sequence.segment());
          chosen.add(prompt);
          more = true;
        }
      }
    }
    return chosen;
  }
}
