package io.reflux.model.evaluate;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.divergence.NamedIds;
import io.reflux.model.divergence.TeacherStudentDivergence;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * What a model says of texts, kept to hold what was made of it against: the same model with fewer
 * bits, or with fewer parts. Every token but a text's first counts.
 */
public final class Fidelity {
  /**
   * Ids a token that the divergence tells apart; all others are one. With a larger vocabulary it is
   * a lower bound, by less than what those others hold.
   */
  public static final int NAMED_IDS = 128;

  private static final int BATCH_TOKENS = 4096;

  private final RuntimeOptions runtime;
  private final List<List<ScoreRequest>> batches = new ArrayList<>();
  private final List<NamedIds> labels = new ArrayList<>();
  private double logProbability;
  private long tokens;

  /**
   * How near a model is.
   *
   * @param tokens compared
   * @param kl KL(original‖model), nats a token
   * @param agreement share of tokens where both like the same id best
   * @param perplexity of the model on the texts
   * @param perplexityChange relative to the original's: 0.01 is one per cent worse
   */
  public record Marks(
      long tokens, double kl, double agreement, double perplexity, double perplexityChange) {}

  private Fidelity(RuntimeOptions runtime) {
    this.runtime = runtime;
  }

  /**
   * Asks the original.
   *
   * @param sequences token ids, each of at least two and at most the model's positions
   * @param runtime for it now, and for the others later
   */
  public static Fidelity prepare(
      ModelConfig config, Weights original, List<int[]> sequences, RuntimeOptions runtime) {
    if (sequences.isEmpty()) {
      throw new ModelException("texts: none (expected: at least one)");
    }
    Fidelity fidelity = new Fidelity(runtime);
    fidelity.batch(sequences);
    int k = Math.min(NAMED_IDS, config.vocabularySize());
    try (Scorer scorer = new Scorer(config, original, k, runtime)) {
      for (List<ScoreRequest> batch : fidelity.batches) {
        for (Scores scores : scorer.score(batch)) {
          fidelity.labels.add(
              new NamedIds(
                  scores.rows(), k, scores.topIds(), scores.topLogprobs(), scores.tailLogMass()));
          fidelity.tokens += scores.rows();
          fidelity.logProbability += sum(scores.tokenLogprobs());
        }
      }
    }
    return fidelity;
  }

  /** The original's own perplexity. */
  public double perplexity() {
    return Math.exp(-logProbability / tokens);
  }

  /** Tokens that are compared. */
  public long tokens() {
    return tokens;
  }

  /**
   * Compares a model.
   *
   * @throws ModelException if a sequence does not fit its vocabulary or positions
   */
  public Marks of(ModelConfig config, Weights weights) {
    try (Scorer scorer = new Scorer(config, weights, 1, runtime)) {
      return compare(scorer::score);
    }
  }

  /**
   * Compares a model by what it says of whole sequences.
   *
   * @param logits of a sequence, [tokens, the original's vocabulary], for each token's successor
   */
  public Marks of(Function<int[], float[]> logits) {
    return compare(
        batch ->
            batch.stream()
                .map(request -> LogitScores.of(request, logits.apply(request.tokenIds())))
                .toList());
  }

  private Marks compare(Function<List<ScoreRequest>, List<Scores>> scoring) {
    TeacherStudentDivergence.Result divergence = TeacherStudentDivergence.Result.EMPTY;
    double logged = 0;
    int next = 0;
    for (List<ScoreRequest> batch : batches) {
      List<ScoreRequest> asked = new ArrayList<>(batch.size());
      for (int i = 0; i < batch.size(); i++) {
        NamedIds named = labels.get(next + i);
        asked.add(new ScoreRequest(batch.get(i).tokenIds(), 1, named.ids(), named.k()));
      }
      for (Scores scores : scoring.apply(asked)) {
        divergence =
            divergence.plus(
                TeacherStudentDivergence.compare(labels.get(next), scores, row -> true));
        logged += sum(scores.tokenLogprobs());
        next++;
      }
    }
    double perplexity = Math.exp(-logged / tokens);
    return new Marks(
        tokens,
        divergence.klMean(),
        divergence.agreement(),
        perplexity,
        perplexity / perplexity() - 1);
  }

  /** Those of like length together, since a batch is padded to its longest. */
  private void batch(List<int[]> sequences) {
    List<int[]> sorted =
        IntStream.range(0, sequences.size())
            .boxed()
            .sorted(Comparator.comparingInt(i -> sequences.get(i).length))
            .map(sequences::get)
            .toList();
    List<ScoreRequest> batch = new ArrayList<>();
    for (int[] ids : sorted) {
      if (ids.length < 2) {
        throw new ModelException("text: %d tokens (expected: at least 2)".formatted(ids.length));
      }
      if (!batch.isEmpty() && (batch.size() + 1L) * ids.length > BATCH_TOKENS) {
        batches.add(List.copyOf(batch));
        batch.clear();
      }
      batch.add(ScoreRequest.of(ids, 1));
    }
    batches.add(List.copyOf(batch));
  }

  private static double sum(float[] logprobs) {
    double sum = 0;
    for (float logprob : logprobs) {
      sum += logprob;
    }
    return sum;
  }
}
