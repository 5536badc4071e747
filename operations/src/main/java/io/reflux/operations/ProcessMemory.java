package io.reflux.operations;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Memory that the operating system counts for this process. */
public final class ProcessMemory {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final String RESIDENT = "VmRSS:";

  private ProcessMemory() {}

  /** Whether this system tells. */
  public static boolean isKnown() {
    return Files.isReadable(STATUS);
  }

  /** Bytes in RAM, models outside of the heap included; NaN if this system does not tell. */
  public static double residentBytes() {
    try {
      for (String line : Files.readAllLines(STATUS)) {
        if (line.startsWith(RESIDENT)) {
          return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024.0;
        }
      }
    } catch (IOException e) {
      // Unknown for now, which is what NaN says.
      return Double.NaN;
    }
    return Double.NaN;
  }
}
