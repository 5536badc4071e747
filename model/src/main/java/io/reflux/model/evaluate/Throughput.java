package io.reflux.model.evaluate;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.Device;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.List;
import java.util.Random;
import java.util.Set;

/**
 * How fast a model reads and writes, one sequence at a time. With one thread of the processor it is
 * that thread's own time that counts, which on an idle machine is the clock's, and which a busy one
 * does not stretch. Runs of several models in turns tell more than one after the other all the
 * same: neighbours take caches too.
 */
public final class Throughput implements AutoCloseable {
  private static final int MOST_PROMPT_TOKENS = 128;
  private static final int MOST_NEW_TOKENS = 64;
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private final GenerationEngine engine;
  private final int vocabularySize;
  private final int promptTokens;
  private final int newTokens;
  private final boolean ownTime;

  /** When the last run ended; the engine's thread alone looks at it. */
  private long ended;

  /**
   * One run.
   *
   * @param prefill tokens of the prompt a second, until the first token is there
   * @param decode tokens a second after that
   */
  public record Speed(double prefill, double decode) {
    /** The median of each. */
    public static Speed median(List<Speed> runs) {
      return new Speed(
          median(runs.stream().mapToDouble(Speed::prefill).sorted().toArray()),
          median(runs.stream().mapToDouble(Speed::decode).sorted().toArray()));
    }

    private static double median(double[] sorted) {
      int middle = sorted.length / 2;
      return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
  }

  /** Opens a model, for prompts of 128 tokens and 64 more, or two and one third of its room. */
  public Throughput(ModelConfig config, Weights weights, RuntimeOptions runtime) {
    this(
        config,
        weights,
        Math.max(1, positions(config) - Math.max(1, positions(config) / 3)),
        Math.max(1, positions(config) / 3),
        runtime);
  }

  /**
   * Opens a model.
   *
   * @param promptTokens at least 1
   * @param newTokens at least 1
   */
  public Throughput(
      ModelConfig config,
      Weights weights,
      int promptTokens,
      int newTokens,
      RuntimeOptions runtime) {
    int positions = promptTokens + newTokens;
    this.vocabularySize = config.vocabularySize();
    this.newTokens = newTokens;
    this.promptTokens = promptTokens;
    this.ownTime =
        runtime.threads() == 1
            && runtime.device().kind() == Device.Kind.CPU
            && THREADS.isCurrentThreadCpuTimeSupported();
    this.engine =
        new GenerationEngine(
            config, weights, new EngineOptions(1, Math.max(2, positions)), runtime);
  }

  private static int positions(ModelConfig config) {
    return Math.min(config.maxPositions(), MOST_PROMPT_TOKENS + MOST_NEW_TOKENS);
  }

  /**
   * Reads a prompt and continues it.
   *
   * @param seed of the prompt's ids: what they say does not matter to the speed
   */
  public Speed run(long seed) {
    int[] prompt = new Random(seed).ints(promptTokens, 0, vocabularySize).toArray();
    long[] times = new long[newTokens + 1];
    int[] tokens = {0};
    GenerationRequest request =
        new GenerationRequest(prompt, newTokens, SamplingOptions.GREEDY, Set.of(), 0);
    long asked = System.nanoTime();
    engine
        .submit(
            request,
            token -> {
              if (tokens[0] == 0) {
                // Between two runs the thread has slept.
                times[0] = ownTime ? ended : asked;
              }
              times[++tokens[0]] = ownTime ? THREADS.getCurrentThreadCpuTime() : System.nanoTime();
              ended = times[tokens[0]];
            })
        .result()
        .join();
    int last = tokens[0];
    return new Speed(
        promptTokens * 1e9 / (times[1] - times[0]), (last - 1) * 1e9 / (times[last] - times[1]));
  }

  @Override
  public void close() {
    engine.close();
  }
}
