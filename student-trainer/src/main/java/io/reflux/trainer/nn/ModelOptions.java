package io.reflux.trainer.nn;

/**
 * How a model is run, which changes its speed and memory. Start from {@link #DEFAULT} and change
 * what matters.
 *
 * @param threads of libtorch while a call runs
 * @param precision of the layers' products
 * @param checkpointEvery n: the forward pass keeps the input of every n-th layer alone, and the way
 *     back runs n layers again (arXiv 1604.06174); 0 keeps everything
 * @param device {@code cpu} or {@code cuda[:N]}
 * @param offload where the optimizer's state is between updates
 * @param adaptation what of the model is trained
 */
public record ModelOptions(
    int threads,
    Precision precision,
    int checkpointEvery,
    String device,
    Offload offload,
    Adaptation adaptation) {
  /** One thread of this processor, float32, nothing computed twice. */
  public static final ModelOptions DEFAULT =
      new ModelOptions(1, Precision.F32, 0, "cpu", Offload.NONE, Adaptation.FULL);

  public ModelOptions {
    if (threads < 1) {
      throw new IllegalArgumentException("threads: " + threads + " (expected: 1 or more)");
    }
    if (checkpointEvery < 0) {
      throw new IllegalArgumentException(
          "checkpointEvery: " + checkpointEvery + " (expected: 0 or more)");
    }
    device = Devices.parse(device).toString();
  }

  public ModelOptions withThreads(int value) {
    return new ModelOptions(value, precision, checkpointEvery, device, offload, adaptation);
  }

  public ModelOptions withPrecision(Precision value) {
    return new ModelOptions(threads, value, checkpointEvery, device, offload, adaptation);
  }

  public ModelOptions withCheckpointEvery(int value) {
    return new ModelOptions(threads, precision, value, device, offload, adaptation);
  }

  public ModelOptions withDevice(String value) {
    return new ModelOptions(threads, precision, checkpointEvery, value, offload, adaptation);
  }

  public ModelOptions withOffload(Offload value) {
    return new ModelOptions(threads, precision, checkpointEvery, device, value, adaptation);
  }

  public ModelOptions withAdaptation(Adaptation value) {
    return new ModelOptions(threads, precision, checkpointEvery, device, offload, value);
  }
}
