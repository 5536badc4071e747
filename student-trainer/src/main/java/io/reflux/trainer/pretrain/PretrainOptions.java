package io.reflux.trainer.pretrain;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import java.time.Duration;
import java.util.Optional;

/**
 * How a model is made. Start from {@link #of} and change what matters.
 *
 * @param epochs passes over the training part at most
 * @param budget wall-clock time at most; the learning rate comes down in time for it
 * @param learningRate peak, after the warm-up
 * @param warmUpShare of all steps
 * @param batchTokens tokens a step
 * @param promptWeight weight of a prompt token's loss, where a response token's is 1
 * @param validationShare of the exchanges, chosen by hash of the prompt; never trained on
 * @param validationEverySteps steps between validations
 * @param weightDecay a unit of learning rate
 * @param seed of weights and order
 * @param threads of libtorch
 * @param dtype of the written weights: BF16, F16 or F32
 */
public record PretrainOptions(
    Shape shape,
    int epochs,
    Optional<Duration> budget,
    double learningRate,
    double warmUpShare,
    int batchTokens,
    double promptWeight,
    double validationShare,
    int validationEverySteps,
    double weightDecay,
    long seed,
    int threads,
    DType dtype) {

  public PretrainOptions {
    require(shape.vocabularySize().isPresent(), "shape: " + shape, "vocab=… among its parts");
    require(epochs > 0, "epochs: " + epochs, "1 or more");
    require(
        budget.isEmpty() || budget.get().compareTo(Duration.ZERO) > 0,
        "budget: " + budget,
        "a positive time");
    require(
        learningRate > 0 && learningRate < 1, "learning rate: " + learningRate, "above 0, below 1");
    require(warmUpShare >= 0 && warmUpShare < 1, "warm-up share: " + warmUpShare, "0 to below 1");
    require(batchTokens > 0, "batch tokens: " + batchTokens, "1 or more");
    require(promptWeight >= 0 && promptWeight <= 1, "prompt weight: " + promptWeight, "0 to 1");
    require(
        validationShare >= 0 && validationShare < 1,
        "validation share: " + validationShare,
        "0 to below 1");
    require(validationEverySteps > 0, "validation every: " + validationEverySteps, "1 or more");
    require(weightDecay >= 0, "weight decay: " + weightDecay, "0 or more");
    require(threads > 0, "threads: " + threads, "1 or more");
    require(dtype != DType.I8, "dtype: I8", "BF16, F16 or F32");
  }

  /** Defaults that make a good model of a few million weights out of some 10,000 exchanges. */
  public static PretrainOptions of(Shape shape) {
    return new PretrainOptions(
        shape, 10, Optional.empty(), 2e-3, 0.05, 4096, 0.1, 0.05, 200, 0.05, 42, 1, DType.BF16);
  }

  public PretrainOptions withEpochs(int value) {
    return new PretrainOptions(
        shape,
        value,
        budget,
        learningRate,
        warmUpShare,
        batchTokens,
        promptWeight,
        validationShare,
        validationEverySteps,
        weightDecay,
        seed,
        threads,
        dtype);
  }

  public PretrainOptions withBudget(Duration value) {
    return new PretrainOptions(
        shape,
        epochs,
        Optional.of(value),
        learningRate,
        warmUpShare,
        batchTokens,
        promptWeight,
        validationShare,
        validationEverySteps,
        weightDecay,
        seed,
        threads,
        dtype);
  }

  public PretrainOptions withLearningRate(double value) {
    return new PretrainOptions(
        shape,
        epochs,
        budget,
        value,
        warmUpShare,
        batchTokens,
        promptWeight,
        validationShare,
        validationEverySteps,
        weightDecay,
        seed,
        threads,
        dtype);
  }

  public PretrainOptions withBatchTokens(int value) {
    return new PretrainOptions(
        shape,
        epochs,
        budget,
        learningRate,
        warmUpShare,
        value,
        promptWeight,
        validationShare,
        validationEverySteps,
        weightDecay,
        seed,
        threads,
        dtype);
  }

  public PretrainOptions withPromptWeight(double value) {
    return new PretrainOptions(
        shape,
        epochs,
        budget,
        learningRate,
        warmUpShare,
        batchTokens,
        value,
        validationShare,
        validationEverySteps,
        weightDecay,
        seed,
        threads,
        dtype);
  }

  public PretrainOptions withValidation(double share, int everySteps) {
    return new PretrainOptions(
        shape,
        epochs,
        budget,
        learningRate,
        warmUpShare,
        batchTokens,
        promptWeight,
        share,
        everySteps,
        weightDecay,
        seed,
        threads,
        dtype);
  }

  public PretrainOptions withSeed(long value) {
    return new PretrainOptions(
        shape,
        epochs,
        budget,
        learningRate,
        warmUpShare,
        batchTokens,
        promptWeight,
        validationShare,
        validationEverySteps,
        weightDecay,
        value,
        threads,
        dtype);
  }

  public PretrainOptions withThreads(int value) {
    return new PretrainOptions(
        shape,
        epochs,
        budget,
        learningRate,
        warmUpShare,
        batchTokens,
        promptWeight,
        validationShare,
        validationEverySteps,
        weightDecay,
        seed,
        value,
        dtype);
  }

  public PretrainOptions withDtype(DType value) {
    return new PretrainOptions(
        shape,
        epochs,
        budget,
        learningRate,
        warmUpShare,
        batchTokens,
        promptWeight,
        validationShare,
        validationEverySteps,
        weightDecay,
        seed,
        threads,
        value);
  }

  private static void require(boolean holds, String what, String expected) {
    if (!holds) {
      throw new ModelException(what + " (expected: " + expected + ")");
    }
  }
}
