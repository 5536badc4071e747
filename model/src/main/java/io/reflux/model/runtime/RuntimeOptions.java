package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.Weights;
import java.util.Objects;

/**
 * How ONNX Runtime runs a model.
 *
 * @param threads intra-op threads
 * @param device where the model runs
 * @param precision the element type it is computed in: bf16 only on a GPU, f32 only on the
 *     processor
 */
public record RuntimeOptions(int threads, Device device, Precision precision) {
  /** One thread on the processor. */
  public static final RuntimeOptions DEFAULT = new RuntimeOptions(1, Device.CPU, Precision.AUTO);

  public RuntimeOptions {
    if (threads < 1) {
      throw new ModelException("threads: " + threads + " (expected: at least 1)");
    }
    Objects.requireNonNull(device, "device");
    Objects.requireNonNull(precision, "precision");
    if (device.kind() == Device.Kind.CPU && precision == Precision.BF16) {
      throw new ModelException(
          "precision: bf16 on cpu (expected: auto, f32 or f16; ONNX Runtime has no kernels for it)");
    }
    if (device.kind() != Device.Kind.CPU && precision == Precision.F32) {
      throw new ModelException(
          "precision: f32 on %s (expected: auto, f16 or bf16; its attention kernel has no other)"
              .formatted(device));
    }
  }

  /**
   * Options from a setting.
   *
   * @param device as {@link Device#parse} reads it
   */
  public static RuntimeOptions of(int threads, String device) {
    return new RuntimeOptions(threads, Device.parse(device), Precision.AUTO);
  }

  /** The element type that these options give a model; see {@link Precision}. */
  public DType elementType(Weights weights) {
    return switch (precision) {
      case F32 -> DType.F32;
      case F16 -> DType.F16;
      case BF16 -> DType.BF16;
      case AUTO -> {
        if (device.kind() == Device.Kind.CPU) {
          yield DType.F32;
        }
        yield weights.tensors().stream().anyMatch(tensor -> tensor.dtype() == DType.BF16)
            ? DType.BF16
            : DType.F16;
      }
    };
  }
}
