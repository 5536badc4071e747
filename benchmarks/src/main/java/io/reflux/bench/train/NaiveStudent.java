package io.reflux.bench.train;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.NDScope;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.NamedTargets;
import io.reflux.trainer.nn.Torch;
import io.reflux.trainer.nn.TorchArrays;
import io.reflux.trainer.nn.TorchModule;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A student as an ordinary trainer trains it. */
final class NaiveStudent implements AutoCloseable {
  private final ModelConfig config;
  private final AdamW adamW;
  private final int threads;
  private final NDManager manager = Torch.newManager("cpu");
  private final TorchModule kernels;
  private final NDArray parameters;
  private final NDArray first;
  private final NDArray second;
  private final NDArray steps;
  private final NDArray cosines;
  private final NDArray sines;

  /**
   * What a step came to.
   *
   * @param objective before the update
   * @param gradientNorm before clipping
   */
  record Step(double objective, double gradientNorm) {}

  NaiveStudent(ModelConfig config, Weights weights, AdamW adamW, int threads) {
    this.config = config;
    this.adamW = adamW;
    this.threads = threads;
    this.kernels = new TorchModule(manager, NaiveSource.of(config));
    List<TensorInfo> tensors = TensorNames.expected(config);
    int floats = Math.toIntExact(tensors.stream().mapToLong(TensorInfo::elements).sum());
    float[] flat = new float[floats];
    int at = 0;
    for (TensorInfo tensor : tensors) {
      float[] values = weights.floats(tensor.name());
      System.arraycopy(values, 0, flat, at, values.length);
      at += values.length;
    }
    this.parameters = TorchArrays.floats(manager, flat, floats);
    this.first = TorchArrays.zeros(manager, floats);
    this.second = TorchArrays.zeros(manager, floats);
    this.steps = TorchArrays.zeros(manager, 1);
    int size = config.headSize();
    float[] cos = new float[config.maxPositions() * size];
    float[] sin = new float[cos.length];
    for (int i = 0; i < cos.length; i++) {
      int pair = i % size % (size / 2);
      double angle = i / size * Math.pow(config.ropeTheta(), -2.0 * pair / size);
      cos[i] = (float) Math.cos(angle);
      sin[i] = (float) Math.sin(angle);
    }
    this.cosines = TorchArrays.floats(manager, cos, config.maxPositions(), size);
    this.sines = TorchArrays.floats(manager, sin, config.maxPositions(), size);
  }

  /** Forward, back, and the update, of a batch padded to its longest sequence. */
  Step step(List<TrainingSequence> batch, double learningRate) {
    Torch.prepareThread(threads);
    int longest = batch.stream().mapToInt(s -> s.tokenIds().length).max().orElseThrow();
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      List<NDArray> inputs = new ArrayList<>(List.of(parameters, first, second, steps));
      long[] ids = new long[batch.size() * longest];
      for (int s = 0; s < batch.size(); s++) {
        int[] tokens = batch.get(s).tokenIds();
        for (int t = 0; t < tokens.length; t++) {
          ids[s * longest + t] = tokens[t];
        }
      }
      inputs.add(TorchArrays.longs(manager, ids, batch.size(), longest));
      inputs.add(cosines);
      inputs.add(sines);
      inputs.addAll(Positions.of(batch, longest).tensors(manager));
      inputs.add(
          TorchArrays.doubles(
              manager,
              learningRate,
              adamW.beta1(),
              adamW.beta2(),
              adamW.weightDecay(),
              adamW.epsilon(),
              adamW.maxGradientNorm()));
      double[] result = kernels.call("step", inputs.toArray(NDArray[]::new)).toDoubleArray();
      return new Step(result[0], result[1]);
    }
  }

  /**
   * The loss alone of hidden states that are at hand, forward and back.
   *
   * @param hidden [rows, hiddenSize]
   * @param head [vocabularySize, hiddenSize]
   * @param headGradient as head; added to
   */
  double lossAlone(
      List<TrainingSequence> batch, NDArray hidden, NDArray head, NDArray headGradient) {
    Torch.prepareThread(threads);
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      List<NDArray> inputs = new ArrayList<>(List.of(hidden, head, headGradient));
      inputs.addAll(Positions.ofRowsAlone(batch).tensors(manager));
      return kernels.call("loss_alone", inputs.toArray(NDArray[]::new)).toDoubleArray()[0];
    }
  }

  /** Room for tensors that live as long as this does. */
  NDManager manager() {
    return manager;
  }

  /** Zeros in the shape of another tensor. */
  NDArray zerosLike(NDArray other) {
    return manager.zeros(new Shape(other.getShape().getShape()), DataType.FLOAT32);
  }

  ModelConfig config() {
    return config;
  }

  @Override
  public void close() {
    kernels.close();
    manager.close();
  }

  /** What each position is compared with; weight 0 where there is nothing. */
  private static final class Positions {
    private final int k;
    private final long[] tokens;
    private final float[] crossEntropyWeights;
    private final float[] distillationWeights;
    private final long[] ids;
    private final float[] logprobs;
    private final float[] tails;

    private Positions(int positions, int k) {
      this.k = k;
      tokens = new long[positions];
      crossEntropyWeights = new float[positions];
      distillationWeights = new float[positions];
      ids = new long[positions * k];
      logprobs = new float[positions * k];
      tails = new float[positions];
      // Of no consequence, and finite: 0 times an infinity would be no number.
      Arrays.fill(logprobs, -1);
      Arrays.fill(tails, -1);
    }

    /** One a position of the padded batch. */
    static Positions of(List<TrainingSequence> batch, int longest) {
      Positions all = new Positions(batch.size() * longest, k(batch));
      double scale = 1 / totalRows(batch);
      for (int s = 0; s < batch.size(); s++) {
        TrainingSequence sequence = batch.get(s);
        for (int row = 0; row < sequence.rows(); row++) {
          all.put(s * longest + sequence.firstPosition() + row - 1, sequence, row, scale);
        }
      }
      return all;
    }

    /** One a row. */
    static Positions ofRowsAlone(List<TrainingSequence> batch) {
      Positions all = new Positions((int) totalRows(batch), k(batch));
      double scale = 1 / totalRows(batch);
      int at = 0;
      for (TrainingSequence sequence : batch) {
        for (int row = 0; row < sequence.rows(); row++) {
          all.put(at++, sequence, row, scale);
        }
      }
      return all;
    }

    List<NDArray> tensors(NDManager manager) {
      return List.of(
          TorchArrays.longs(manager, tokens, tokens.length),
          TorchArrays.floats(manager, crossEntropyWeights, tokens.length),
          TorchArrays.floats(manager, distillationWeights, tokens.length),
          TorchArrays.longs(manager, ids, tokens.length, k),
          TorchArrays.floats(manager, logprobs, tokens.length, k),
          TorchArrays.floats(manager, tails, tokens.length));
    }

    private void put(int at, TrainingSequence sequence, int row, double scale) {
      NamedTargets targets = (NamedTargets) sequence.targets();
      double share = sequence.objective().crossEntropyShare();
      tokens[at] = sequence.tokenIds()[sequence.firstPosition() + row];
      crossEntropyWeights[at] = (float) (share * scale);
      distillationWeights[at] = (float) ((1 - share) * scale);
      for (int j = 0; j < k; j++) {
        ids[at * k + j] = targets.ids()[row * k + j];
        logprobs[at * k + j] = targets.logprobs()[row * k + j];
      }
      tails[at] = targets.tailLogMass()[row];
    }

    private static int k(List<TrainingSequence> batch) {
      return ((NamedTargets) batch.get(0).targets()).k();
    }

    private static double totalRows(List<TrainingSequence> batch) {
      return batch.stream().mapToInt(TrainingSequence::rows).sum();
    }
  }
}
