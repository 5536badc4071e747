package io.reflux.model.runtime;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtProvider;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.providers.OrtCUDAProviderOptions;
import ai.onnxruntime.providers.OrtTensorRTProviderOptions;
import io.reflux.model.ModelException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Adds a device to a session, and says in one line what it lacks. ONNX Runtime 1.29's GPU build is
 * made for CUDA 12 and TensorRT 10. Without a GPU only the refusals have been run.
 */
final class Providers {
  private static final Pattern MISSING_LIBRARY =
      Pattern.compile("error: (\\S+): cannot open shared object file");
  private static final Pattern MISSING_DEVICE =
      Pattern.compile("Invalid device ID|invalid device ordinal", Pattern.CASE_INSENSITIVE);
  private static final Pattern CUDA_FAILURE = Pattern.compile("CUDA failure \\d+: ([^;]+?) *;");

  private Providers() {}

  /**
   * Adds the device's execution provider; what it cannot run is run on the processor.
   *
   * @throws ModelException if this build lacks the provider, or this machine what the provider
   *     needs
   */
  static void add(OrtSession.SessionOptions session, Device device) {
    if (device.kind() == Device.Kind.CPU) {
      return;
    }
    // A provider's library logs while it loads, and the logger is the environment's.
    OrtEnvironment runtime = OrtSessions.environment();
    OrtProvider provider =
        device.kind() == Device.Kind.CUDA ? OrtProvider.CUDA : OrtProvider.TENSOR_RT;
    if (!OrtEnvironment.getAvailableProviders().contains(provider)) {
      throw new ModelException(
          ("device: %s (expected: cpu, this build has no %s; REFLUX_MAVEN_ARGS=-Pcuda ./reflux or"
                  + " ./mvnw -Pcuda makes one that has, with com.microsoft.onnxruntime:onnxruntime_gpu"
                  + " %s in place of onnxruntime)")
              .formatted(
                  device,
                  provider == OrtProvider.CUDA ? "CUDA" : "TensorRT",
                  runtime.getVersion()));
    }
    try {
      if (device.kind() == Device.Kind.TENSORRT) {
        try (OrtTensorRTProviderOptions tensorrt = new OrtTensorRTProviderOptions(device.index())) {
          session.addTensorrt(tensorrt);
        }
      }
      // Below TensorRT too: it has no kernel for grouped-query attention.
      try (OrtCUDAProviderOptions cuda = new OrtCUDAProviderOptions(device.index())) {
        // Doubling, the default, would leave a second model on the same device too little.
        cuda.add("arena_extend_strategy", "kSameAsRequested");
        session.addCUDA(cuda);
      }
    } catch (OrtException e) {
      throw refusal(device, e);
    }
  }

  /** Whether it is the device that fails, not the model: some of it comes to light only later. */
  static boolean isAboutDevice(OrtException failure) {
    String message = String.valueOf(failure.getMessage());
    return MISSING_LIBRARY.matcher(message).find()
        || MISSING_DEVICE.matcher(message).find()
        || CUDA_FAILURE.matcher(message).find();
  }

  /** What the runtime says about a device that cannot be used, with what is missing by name. */
  static ModelException refusal(Device device, OrtException cause) {
    String message = String.valueOf(cause.getMessage());
    Matcher library = MISSING_LIBRARY.matcher(message);
    if (library.find()) {
      return new ModelException(
          "device: %s: %s is missing (expected: %s where the loader looks, see LD_LIBRARY_PATH)"
              .formatted(device, library.group(1), productOf(library.group(1))),
          cause);
    }
    if (MISSING_DEVICE.matcher(message).find()) {
      return new ModelException(
          "device: %s is not there (expected: the number of one that nvidia-smi -L lists)"
              .formatted(device),
          cause);
    }
    Matcher cuda = CUDA_FAILURE.matcher(message);
    if (cuda.find()) {
      return new ModelException(
          "device: %s: CUDA says: %s (expected: a GPU with room and a driver for CUDA 12, see nvidia-smi)"
              .formatted(device, cuda.group(1)),
          cause);
    }
    return OrtSessions.failure("device: " + device + ": cannot be used", cause);
  }

  private static String productOf(String library) {
    if (library.startsWith("libcuda.")) {
      return "NVIDIA's driver";
    }
    if (library.startsWith("libcudnn")) {
      return "cuDNN 9";
    }
    if (library.startsWith("libnvinfer") || library.startsWith("libnvonnxparser")) {
      return "TensorRT 10";
    }
    return "CUDA 12";
  }
}
