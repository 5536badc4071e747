package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a model runs: an execution provider of ONNX Runtime and the device that it drives.
 *
 * @param index CUDA's number of the device; 0 for the processor
 */
public record Device(Kind kind, int index) {
  /** The processor. */
  public static final Device CPU = new Device(Kind.CPU, 0);

  private static final Pattern NAME = Pattern.compile("(cpu)|(cuda|tensorrt)(?::(\\d{1,3}))?");

  /** Execution providers; both of the GPU's are NVIDIA's. */
  public enum Kind {
    CPU,
    CUDA,
    TENSORRT
  }

  public Device {
    Objects.requireNonNull(kind, "kind");
    if (index < 0 || (kind == Kind.CPU && index != 0)) {
      throw new ModelException(
          "device index: " + index + " (expected: " + (kind == Kind.CPU ? "0" : "0 or more") + ")");
    }
  }

  /**
   * Reads {@code cpu}, {@code cuda}, {@code cuda:N}, {@code tensorrt} or {@code tensorrt:N}, in any
   * case; without a number it is device 0.
   *
   * @throws ModelException if it is none of these
   */
  public static Device parse(String name) {
    Matcher matcher = NAME.matcher(name.strip().toLowerCase(Locale.ROOT));
    if (!matcher.matches()) {
      throw new ModelException("device: " + name + " (expected: cpu, cuda[:N] or tensorrt[:N])");
    }
    if (matcher.group(1) != null) {
      return CPU;
    }
    Kind kind = matcher.group(2).equals("cuda") ? Kind.CUDA : Kind.TENSORRT;
    return new Device(kind, matcher.group(3) == null ? 0 : Integer.parseInt(matcher.group(3)));
  }

  /**
   * Reads devices separated by commas, such as {@code cuda:0,cuda:1}.
   *
   * @return at least one, in the given order
   * @throws ModelException if one is unknown or given twice
   */
  public static List<Device> parseList(String names) {
    List<Device> devices = new ArrayList<>();
    for (String name : names.split(",", -1)) {
      Device device = parse(name);
      if (devices.contains(device)) {
        throw new ModelException("device: " + names + " (expected: each device once)");
      }
      devices.add(device);
    }
    return List.copyOf(devices);
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    String name = kind.name().toLowerCase(Locale.ROOT);
    return kind == Kind.CPU ? name : name + ":" + index;
  }
}
