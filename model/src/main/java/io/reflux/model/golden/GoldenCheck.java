package io.reflux.model.golden;

import io.reflux.model.ModelException;
import io.reflux.model.golden.GoldenPrompts.Answered;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.SamplingOptions;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Set;

/**
 * Whether an engine gives the numbers that golden prompts were answered by.
 *
 * <p>Teacher-forced: at each position of each answer the engine sees the golden tokens before it,
 * and its likeliest next token is held against the golden one. The engine is asked as it serves,
 * token by token from its cache; after a token that differs it goes on behind the golden one.
 *
 * <p>Other hardware rounds otherwise, and that may turn tokens that are about as likely as each
 * other. So positions where the golden token led by less than {@link #CLOSE} nats do not count, and
 * of the others {@link #LEAST_AGREEMENT} must agree: keys and values in 8 bits, the coarsest that
 * the house's engine computes, stay above it, and an engine whose weights, positions or attention
 * are wrong is far below it.
 */
public final class GoldenCheck {
  /** A lead, in nats, that rounding may turn: log-probs in 16 bits are a few hundredths off. */
  public static final double CLOSE = 0.1;

  /**
   * Share of the positions that count which must agree; one may always differ, if it is not all.
   */
  public static final double LEAST_AGREEMENT = 0.9;

  private static final int SHOWN_IDS = 8;

  private final GenerationEngine engine;
  private final Duration patience;
  private final Deque<Asked> asked = new ArrayDeque<>();
  private int positions;
  private int agreed;
  private String firstMiss = "";

  private record Asked(int prompt, Answered golden, int from, GenerationHandle handle) {}

  /**
   * What came of it.
   *
   * @param positions that count
   * @param agreed of them
   * @param firstMiss where it first differed, in words; empty if it never did
   */
  public record Result(int positions, int agreed, String firstMiss) {
    /** Whether it is the same model, as far as golden prompts tell. */
    public boolean holds() {
      int missed = positions - agreed;
      return missed == 0
          || (missed < positions
              && missed <= Math.max(1, (int) ((1 - LEAST_AGREEMENT) * positions + 1e-9)));
    }
  }

  private GoldenCheck(GenerationEngine engine, Duration patience) {
    this.engine = engine;
    this.patience = patience;
  }

  /**
   * Asks an engine. Prompts that it has no room for are left out.
   *
   * @param patience for each answer
   * @throws ModelException if the engine fails, cannot take a prompt, or does not answer in time
   */
  public static Result run(GoldenPrompts golden, GenerationEngine engine, Duration patience) {
    GoldenCheck check = new GoldenCheck(engine, patience);
    int room = engine.options().maxPositions();
    for (int i = 0; i < golden.prompts().size(); i++) {
      if (golden.prompts().get(i).length() <= room) {
        check.ask(i + 1, golden.prompts().get(i), 0);
      }
    }
    while (!check.asked.isEmpty()) {
      check.settle(check.asked.removeFirst());
    }
    return new Result(check.positions, check.agreed, check.firstMiss);
  }

  /** For the rest of an answer, behind the golden tokens before it. */
  private void ask(int prompt, Answered golden, int from) {
    int[] ids = Arrays.copyOf(golden.promptIds(), golden.promptIds().length + from);
    System.arraycopy(golden.answerIds(), 0, ids, golden.promptIds().length, from);
    int rest = golden.answerIds().length - from;
    GenerationRequest request =
        new GenerationRequest(ids, rest, SamplingOptions.GREEDY, Set.of(), 0);
    asked.addLast(new Asked(prompt, golden, from, engine.submit(request, null)));
  }

  private void settle(Asked one) {
    int[] got = Answers.await(one.handle(), patience).tokenIds();
    int[] wanted = one.golden().answerIds();
    for (int i = one.from(); i < wanted.length; i++) {
      boolean same = i - one.from() < got.length && got[i - one.from()] == wanted[i];
      boolean counts = one.golden().margins()[i] >= CLOSE;
      positions += counts ? 1 : 0;
      agreed += counts && same ? 1 : 0;
      if (!same) {
        if (counts && firstMiss.isEmpty()) {
          firstMiss = miss(one, i, got);
        }
        if (i + 1 < wanted.length) {
          ask(one.prompt(), one.golden(), i + 1);
        }
        return;
      }
    }
  }

  private static String miss(Asked one, int at, int[] got) {
    int from = at - one.from();
    int[] wanted = one.golden().answerIds();
    return "prompt %d, token %d: expected %s, got %s"
        .formatted(
            one.prompt(),
            at + 1,
            Arrays.toString(
                Arrays.copyOfRange(wanted, at, Math.min(wanted.length, at + SHOWN_IDS))),
            Arrays.toString(
                Arrays.copyOfRange(
                    got,
                    Math.min(from, got.length),
                    Math.max(Math.min(from, got.length), Math.min(got.length, from + SHOWN_IDS)))));
  }
}
