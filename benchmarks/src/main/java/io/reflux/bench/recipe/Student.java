package io.reflux.bench.recipe;

import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.PrunedModel;
import io.reflux.model.compress.PrunedShape;
import io.reflux.model.compress.PruningOptions;
import io.reflux.model.compress.StructuredPruning;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.ModelState;
import io.reflux.trainer.nn.StateCut;
import io.reflux.trainer.nn.TrainableModel;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.List;

/**
 * A student with a budget of compute. What it has spent, and not how many steps it took, drives its
 * learning rate: a linear warm-up, then a cosine down to a tenth.
 *
 * <p>A trained token costs {@code 6·N} operations with N its weights, a token that it reads or
 * writes while generating {@code 2·N}. Padding costs nothing here, because how much there is of it
 * is not the recipe's doing; nor does the teacher.
 */
public final class Student implements AutoCloseable {
  private static final double WARM_UP = 0.05;
  private static final double LAST = 0.1;
  private static final int TRAINED = 6;
  private static final int GENERATED = 2;

  private final double learningRate;
  private final double budget;
  private TrainableModel model;
  private boolean open;
  private double spent;

  /** Where its sequences come from. */
  public interface Feed {
    /** The next batch. */
    List<TrainingSequence> next(Student student);
  }

  /** A point to go back to. */
  record Point(ModelState model, double spent) {}

  /**
   * One that knows nothing yet.
   *
   * @param tokens that it may be trained on, or as much of something else
   * @param seed of its weights
   */
  public Student(ModelConfig config, double learningRate, double tokens, long seed) {
    this(config, RandomModel.weights(config, seed), learningRate, tokens);
  }

  /**
   * One that goes on from weights, with an optimizer that begins anew.
   *
   * @param tokens that it may be trained on from now on
   */
  public Student(ModelConfig config, Weights weights, double learningRate, double tokens) {
    this.learningRate = learningRate;
    this.budget = tokens * TRAINED;
    open(config, weights);
  }

  private void open(ModelConfig config, Weights weights) {
    model = new TrainableModel(config, weights, AdamW.DEFAULT, ModelOptions.DEFAULT);
    open = true;
  }

  /** Trains until a share of the budget is spent. */
  public void train(Feed feed, double share) {
    while (spent < share * budget) {
      List<TrainingSequence> batch = feed.next(this);
      model.accumulate(new Batch(batch, model.config().vocabularySize()));
      model.update(learningRate(spent / budget));
      for (TrainingSequence sequence : batch) {
        spent += TRAINED * (double) sequence.tokenIds().length;
      }
    }
  }

  /** Takes note of tokens read and written while generating. */
  void generated(long tokens) {
    spent += GENERATED * (double) tokens;
  }

  /** Its shape as it is now. */
  public ModelConfig config() {
    return model.config();
  }

  /** A copy. */
  public MemoryWeights weights() {
    return model.export();
  }

  Point point() {
    return new Point(model.state(), spent);
  }

  void goBack(Point point) {
    model.restore(point.model());
    spent = point.spent();
  }

  /**
   * Cuts it as the trainer would: what the optimizer keeps goes with its weights.
   *
   * @param calibration token ids
   */
  public void cut(PrunedShape shape, List<int[]> calibration) {
    Weights exported = model.export();
    PrunedModel pruned =
        StructuredPruning.prune(
            model.config(),
            exported,
            shape,
            PruningOptions.DEFAULT,
            calibration,
            RuntimeOptions.DEFAULT);
    ModelState state = StateCut.of(model.config(), model.state(), exported, pruned);
    close();
    open(pruned.config(), pruned.weights());
    model.restore(state);
  }

  @Override
  public void close() {
    if (open) {
      open = false;
      model.close();
    }
  }

  private double learningRate(double progress) {
    if (progress < WARM_UP) {
      return learningRate * Math.max(0.01, progress / WARM_UP);
    }
    double decay = Math.min(1, (progress - WARM_UP) / (1 - WARM_UP));
    return learningRate * (LAST + (1 - LAST) * (1 + Math.cos(Math.PI * decay)) / 2);
  }
}
