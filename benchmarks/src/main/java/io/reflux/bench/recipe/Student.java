package io.reflux.bench.recipe;

import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.ModelState;
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
final class Student implements AutoCloseable {
  private static final double WARM_UP = 0.05;
  private static final double LAST = 0.1;
  private static final int TRAINED = 6;
  private static final int GENERATED = 2;

  private final TrainableModel model;
  private final double learningRate;
  private final double budget;
  private double spent;

  /** Where its sequences come from. */
  interface Feed {
    /** The next batch. */
    List<TrainingSequence> next(Student student);
  }

  /** A point to go back to. */
  record Point(ModelState model, double spent) {}

  /**
   * @param tokens that it may be trained on, or as much of something else
   * @param seed of its weights
   */
  Student(ModelConfig config, double learningRate, double tokens, long seed) {
    this.model =
        new TrainableModel(
            config, RandomModel.weights(config, seed), AdamW.DEFAULT, ModelOptions.DEFAULT);
    this.learningRate = learningRate;
    this.budget = tokens * TRAINED;
  }

  /** Trains until a share of the budget is spent. */
  void train(Feed feed, double share) {
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

  ModelConfig config() {
    return model.config();
  }

  MemoryWeights weights() {
    return model.export();
  }

  Point point() {
    return new Point(model.state(), spent);
  }

  void goBack(Point point) {
    model.restore(point.model());
    spent = point.spent();
  }

  @Override
  public void close() {
    model.close();
  }

  private double learningRate(double progress) {
    if (progress < WARM_UP) {
      return learningRate * Math.max(0.01, progress / WARM_UP);
    }
    double decay = Math.min(1, (progress - WARM_UP) / (1 - WARM_UP));
    return learningRate * (LAST + (1 - LAST) * (1 + Math.cos(Math.PI * decay)) / 2);
  }
}
