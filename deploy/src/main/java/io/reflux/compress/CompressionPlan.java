package io.reflux.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.compress.PruningTarget;
import io.reflux.model.compress.QuantisationMethod;
import io.reflux.model.gguf.GgufType;
import io.reflux.schemas.service.RefluxException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * What is to become of a model, in the order it is done: parts go, then bits, then the file's
 * format.
 *
 * @param pruning which share of its parts stays; empty keeps all
 * @param format of its matrices
 * @param method how their values are chosen
 * @param gguf the type of a GGUF file; empty for a Hugging Face directory
 */
public record CompressionPlan(
    Optional<PruningTarget> pruning,
    WeightFormat format,
    QuantisationMethod method,
    Optional<GgufType> gguf) {
  private static final String EXPECTED =
      " (expected: int8, int4, fp8, neurons:SHARE, kv-groups:SHARE, layers:SHARE or gguf:TYPE)";

  /**
   * Reads targets such as {@code neurons:0.75}, {@code int4} and {@code gguf:q4_0}.
   *
   * @param method null for what needs no calibration, round to nearest
   * @throws RefluxException one line that names the target that cannot be, alone or with the others
   */
  public static CompressionPlan parse(List<String> targets, String method) {
    List<String> parts = new ArrayList<>();
    WeightFormat format = WeightFormat.NONE;
    Optional<GgufType> gguf = Optional.empty();
    for (String target : targets) {
      String[] halves = target.strip().toLowerCase(Locale.ROOT).split(":", 2);
      switch (halves[0]) {
        case "int8", "int4", "fp8" -> {
          if (halves.length > 1) {
            throw refused(target);
          }
          if (format != WeightFormat.NONE) {
            throw new RefluxException(
                "--target: %s and %s (expected: one of int8, int4 and fp8)"
                    .formatted(format, halves[0]));
          }
          format = WeightFormat.parse(halves[0]);
        }
        case "neurons", "layers" -> parts.add(target.strip());
        case "kv-groups" -> parts.add("kv" + target.strip().substring("kv-groups".length()));
        case "gguf" -> {
          if (gguf.isPresent() || halves.length < 2) {
            throw refused(target);
          }
          gguf = Optional.of(type(target, halves[1]));
        }
        default -> throw refused(target);
      }
    }
    CompressionPlan plan =
        new CompressionPlan(pruning(parts), format, method(method, format), gguf);
    plan.requireOneRounding();
    return plan;
  }

  /** Whether it must see what the model will see. */
  public boolean needsCalibration() {
    return pruning.isPresent() || method != QuantisationMethod.RTN;
  }

  private void requireOneRounding() {
    if (gguf.isEmpty() || format == WeightFormat.NONE) {
      return;
    }
    boolean same =
        switch (gguf.get()) {
          case F32, F16 -> false;
          case Q8_0 -> format == WeightFormat.INT8;
          case Q4_0 -> format == WeightFormat.INT4;
        };
    if (!same) {
      throw new RefluxException(
          "--target: %s and gguf:%s (expected: int8 with q8_0, int4 with q4_0, or gguf alone; else"
                  .formatted(format, gguf.get())
              + " weights are rounded twice)");
    }
  }

  private static Optional<PruningTarget> pruning(List<String> parts) {
    try {
      return parts.isEmpty()
          ? Optional.empty()
          : Optional.of(PruningTarget.parse(String.join(",", parts)));
    } catch (ModelException e) {
      throw new RefluxException("--target: " + e.getMessage(), e);
    }
  }

  private static GgufType type(String target, String name) {
    try {
      return GgufType.parse(name);
    } catch (ModelException e) {
      throw new RefluxException(
          "--target: " + target + " (expected: gguf: with f32, f16, q8_0 or q4_0)", e);
    }
  }

  private static QuantisationMethod method(String name, WeightFormat format) {
    if (name == null) {
      return QuantisationMethod.RTN;
    }
    if (format == WeightFormat.NONE) {
      throw new RefluxException(
          "--method: " + name + " (expected: with --target int8, int4 or fp8)");
    }
    try {
      return QuantisationMethod.parse(name);
    } catch (ModelException e) {
      throw new RefluxException("--method: " + name + " (expected: rtn, gptq or quantease)", e);
    }
  }

  private static RefluxException refused(String target) {
    return new RefluxException("--target: " + target + EXPECTED);
  }
}
