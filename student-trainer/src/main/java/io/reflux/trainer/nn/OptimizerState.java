package io.reflux.trainer.nn;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.NDScope;
import io.reflux.model.ModelException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.DoubleFunction;

/** What an optimizer remembers, and the steps it takes, a slice at a time. */
final class OptimizerState implements AutoCloseable {
  private static final String FIRST_MOMENTS = "first-moments";
  private static final String SECOND_MOMENTS = "second-moments";
  static final String Z = "z";
  private static final String WEIGHT_SUM = "weight-sum";
  private static final String LARGEST_RATE = "largest-rate";

  private final Optimizer optimizer;
  private final NDManager manager;
  private final NDManager host;
  private final FlatTensors flats;
  private final TorchModule kernels;
  private final List<Slice> slices;
  private final SliceStore store;
  private final int floats;
  private final List<String> names;
  private long updates;
  private double weightSum;
  private double largestRate;
  private NDArray average;
  private String lost;

  /**
   * Of no updates.
   *
   * @param parameters flat, of the layout
   * @throws ModelException if there is no room to offload to
   */
  OptimizerState(
      Optimizer optimizer,
      Offload offload,
      ParameterLayout layout,
      NDManager manager,
      TorchModule kernels,
      NDArray parameters) {
    this.optimizer = optimizer;
    this.manager = manager;
    this.host = manager.newSubManager(Device.cpu());
    this.kernels = kernels;
    this.flats = new FlatTensors(host, kernels);
    this.floats = layout.floats();
    this.slices = Slice.of(layout, offload.sliceFloats());
    this.names = List.of(optimizer instanceof AdamW ? FIRST_MOMENTS : Z, SECOND_MOMENTS);
    this.store =
        switch (offload.place()) {
          case DEVICE -> new MemorySlices(manager, floats);
          case HOST -> new MemorySlices(host, floats);
          case DISK -> new FileSlices(host, offload.directory(), slices);
        };
    if (optimizer instanceof ScheduleFreeAdamW) {
      for (Slice slice : slices) {
        float[] start = new float[slice.length()];
        flats.read(parameters, slice.start(), start, 0, start.length);
        flats.write(store.load(slice).get(0), store.at(slice), start, 0, start.length);
        store.store(slice);
      }
    }
  }

  long updates() {
    return updates;
  }

  /** Global norm of gradients, in double precision. */
  double norm(NDArray gradients) {
    try (NDArray norm = kernels.call("norm", gradients)) {
      return norm.toDoubleArray()[0];
    }
  }

  /**
   * Takes a step, and sets the gradients to zero.
   *
   * @param norm of the gradients, finite
   * @throws ModelException if what was offloaded is lost; then the step is half taken, and nothing
   *     but {@link #restore} goes on
   */
  void apply(NDArray parameters, NDArray gradients, double learningRate, double norm) {
    requireWhole();
    forgetAverage();
    updates++;
    double scale = Math.min(1, optimizer.maxGradientNorm() / (norm + 1e-12));
    DoubleFunction<double[]> hyper = hyper(learningRate, scale);
    for (Slice slice : slices) {
      try (NDScope scope = new NDScope()) {
        scope.suppressNotUsedWarning();
        List<NDArray> state = load(slice);
        double decay = slice.decayed() ? optimizer.weightDecay() : 0;
        kernels.call(
            "update",
            parameters,
            gradients,
            state.get(0),
            state.get(1),
            where(slice),
            TorchArrays.doubles(host, hyper.apply(decay)));
        keep(slice);
      }
    }
  }

  /** The weights to evaluate and export: those that are trained, or their average. */
  NDArray evaluated(NDArray parameters) {
    requireWhole();
    if (!(optimizer instanceof ScheduleFreeAdamW scheduleFree)) {
      return parameters;
    }
    if (average == null) {
      NDArray made = TorchArrays.zeros(manager, floats);
      for (Slice slice : slices) {
        try (NDScope scope = new NDScope()) {
          scope.suppressNotUsedWarning();
          NDArray z = load(slice).get(0);
          NDArray ahead = TorchArrays.doubles(host, 1 / scheduleFree.beta() - 1);
          kernels.call("average", made, parameters, z, where(slice), ahead);
        }
      }
      average = made;
    }
    return average;
  }

  /** Gives back the memory of what {@link #evaluated} made. */
  void forgetAverage() {
    if (average != null) {
      average.close();
      average = null;
    }
  }

  Map<String, Double> numbers() {
    return optimizer instanceof AdamW
        ? Map.of()
        : Map.of(WEIGHT_SUM, weightSum, LARGEST_RATE, largestRate);
  }

  Map<String, float[]> tensors() {
    requireWhole();
    Map<String, float[]> tensors = new HashMap<>();
    for (String name : names) {
      tensors.put(name, new float[floats]);
    }
    for (Slice slice : slices) {
      List<NDArray> state = load(slice);
      for (int i = 0; i < names.size(); i++) {
        float[] into = tensors.get(names.get(i));
        flats.read(state.get(i), store.at(slice), into, slice.start(), slice.length());
      }
    }
    return tensors;
  }

  /**
   * Refuses what {@link #restore} could not take, before anything is changed.
   *
   * @throws ModelException if the state is another optimizer's or of another shape
   */
  void check(ModelState state) {
    if (!state.optimizer().equals(optimizer.name())) {
      throw new ModelException(
          "training state: optimizer %s (expected: %s, as configured)"
              .formatted(state.optimizer(), optimizer.name()));
    }
    names.forEach(name -> FlatTensors.require(state, name, floats));
    for (String name : numbers().keySet()) {
      if (!state.numbers().containsKey(name)) {
        throw new ModelException("training state: no " + name + " (expected: a number)");
      }
    }
  }

  /** Takes over a state that was checked. */
  void restore(ModelState state) {
    forgetAverage();
    lost = null;
    for (Slice slice : slices) {
      List<NDArray> room = store.room(slice);
      for (int i = 0; i < names.size(); i++) {
        float[] values = state.tensors().get(names.get(i));
        flats.write(room.get(i), store.at(slice), values, slice.start(), slice.length());
      }
      keep(slice);
    }
    updates = state.updates();
    weightSum = state.numbers().getOrDefault(WEIGHT_SUM, 0.0);
    largestRate = state.numbers().getOrDefault(LARGEST_RATE, 0.0);
  }

  @Override
  public void close() {
    forgetAverage();
    store.close();
  }

  /** The numbers of this step, as the kernel wants them, of a decay. */
  private DoubleFunction<double[]> hyper(double rate, double scale) {
    if (optimizer instanceof AdamW adamW) {
      return decay ->
          new double[] {rate, adamW.beta1(), adamW.beta2(), decay, adamW.epsilon(), scale, updates};
    }
    ScheduleFreeAdamW free = (ScheduleFreeAdamW) optimizer;
    largestRate = Math.max(largestRate, rate);
    double weight = largestRate * largestRate;
    weightSum = Math.min(weightSum + weight, weight * free.longestAverage());
    double c = weightSum > 0 ? weight / weightSum : 0;
    double correction = 1 - Math.pow(free.beta2(), updates);
    double steps = rate * (free.beta() * (1 - c) - 1);
    return decay ->
        new double[] {rate, free.beta2(), decay, free.epsilon(), scale, correction, c, steps};
  }

  private NDArray where(Slice slice) {
    long[] where = {slice.start(), store.at(slice), slice.length()};
    return TorchArrays.longs(host, where, where.length);
  }

  private List<NDArray> load(Slice slice) {
    try {
      return store.load(slice);
    } catch (ModelException e) {
      lost = e.getMessage();
      throw e;
    }
  }

  private void keep(Slice slice) {
    try {
      store.store(slice);
    } catch (ModelException e) {
      lost = e.getMessage();
      throw e;
    }
  }

  private void requireWhole() {
    if (lost != null) {
      throw new ModelException(lost + "; the training state was lost with it");
    }
  }
}
