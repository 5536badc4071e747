package io.reflux.trainer.nn;

import io.reflux.model.ModelException;
import java.nio.file.Path;

/**
 * Where the optimizer's state lives between updates. Wherever that is, the bits are the same.
 *
 * @param place of the state
 * @param directory of the scratch file; null unless the place is {@link Place#DISK}
 * @param sliceFloats elements of each tensor that are brought in at a time
 */
public record Offload(Place place, Path directory, int sliceFloats) {
  /** Where there is room. */
  public enum Place {
    /** Beside the weights, on their device. */
    DEVICE,
    /** In the machine's memory; on the processor that is beside the weights. */
    HOST,
    /** In a scratch file. */
    DISK
  }

  /** Beside the weights. */
  public static final Offload NONE = new Offload(Place.DEVICE, null, 1 << 22);

  /** Slices begin where vector instructions have no remainder, so that they do not tell. */
  static final int GRANULE = 1 << 10;

  public Offload {
    if ((directory != null) != (place == Place.DISK)) {
      throw new ModelException(
          "offload: %s with directory %s (expected: a directory for the disk alone)"
              .formatted(place, directory));
    }
    if (sliceFloats < GRANULE || sliceFloats % GRANULE != 0) {
      throw new IllegalArgumentException(
          "sliceFloats: %d (expected: a multiple of %d)".formatted(sliceFloats, GRANULE));
    }
  }

  /**
   * From configuration.
   *
   * @param place {@code none}, {@code host} or {@code disk}
   * @param directory of the scratch file, if it comes to that
   * @throws ModelException if there is no such place
   */
  public static Offload parse(String place, Path directory) {
    return switch (place) {
      case "none" -> NONE;
      case "host" -> new Offload(Place.HOST, null, NONE.sliceFloats);
      case "disk" -> disk(directory);
      default -> throw new ModelException("offload: " + place + " (expected: none, host or disk)");
    };
  }

  /** In a scratch file of a directory, which is made if need be. */
  public static Offload disk(Path directory) {
    return new Offload(Place.DISK, directory, NONE.sliceFloats);
  }

  Offload withSliceFloats(int floats) {
    return new Offload(place, directory, floats);
  }
}
