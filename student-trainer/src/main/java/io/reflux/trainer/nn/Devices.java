package io.reflux.trainer.nn;

import ai.djl.Device;
import ai.djl.engine.Engine;
import ai.djl.util.cuda.CudaUtils;
import io.reflux.model.ModelException;
import io.reflux.model.runtime.Device.Kind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** What a device's name means on this machine, and what it can do. */
final class Devices {
  /** What multiplies bfloat16 without turning it into float32 first. */
  private static final List<String> BF16_FLAGS = List.of("amx_bf16", "avx512_bf16");

  /** Of the first CUDA devices that multiply bfloat16, ten times major and minor. */
  private static final int BF16_CAPABILITY = 80;

  private static final Path PROCESSOR = Path.of("/proc/cpuinfo");

  private Devices() {}

  /**
   * Reads it, without a look at what this machine has.
   *
   * @throws ModelException if it is neither {@code cpu} nor {@code cuda[:N]}
   */
  static io.reflux.model.runtime.Device parse(String name) {
    io.reflux.model.runtime.Device device = io.reflux.model.runtime.Device.parse(name);
    if (device.kind() == Kind.TENSORRT) {
      throw new ModelException("device: " + name + " (expected: cpu or cuda[:N] to train on)");
    }
    return device;
  }

  /**
   * Looks it up.
   *
   * @throws ModelException if this machine has no such device, or libtorch cannot use it
   */
  static Device find(String name) {
    io.reflux.model.runtime.Device device = parse(name);
    if (device.kind() == Kind.CPU) {
      return Device.cpu();
    }
    int index = device.index();
    int present = Engine.getEngine("PyTorch").getGpuCount();
    if (index >= present) {
      throw new ModelException(
          "device: %s (expected: cpu%s, for libtorch sees %d CUDA devices)"
              .formatted(name, present == 0 ? "" : " or cuda:0 to cuda:" + (present - 1), present));
    }
    return Device.gpu(index);
  }

  /** F32 or BF16: what a precision comes to on a device. */
  static Precision resolve(Precision precision, Device device) {
    if (precision != Precision.AUTO) {
      return precision;
    }
    boolean able =
        device.isGpu()
            ? Integer.parseInt(CudaUtils.getComputeCapability(device.getDeviceId()))
                >= BF16_CAPABILITY
            : multipliesBf16(PROCESSOR);
    return able ? Precision.BF16 : Precision.F32;
  }

  /**
   * Whether a processor's description names bfloat16 products.
   *
   * @param description in the form of {@code /proc/cpuinfo}; one that is not there names none
   */
  static boolean multipliesBf16(Path description) {
    if (!Files.isReadable(description)) {
      return false;
    }
    try (Stream<String> lines = Files.lines(description)) {
      return lines
          .filter(line -> line.startsWith("flags"))
          .findFirst()
          .map(line -> List.of(line.split("\\s+")))
          .map(flags -> BF16_FLAGS.stream().anyMatch(flags::contains))
          .orElse(false);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
