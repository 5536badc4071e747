package io.reflux.bench.train;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What this process occupies, as Linux sees it. */
final class ProcessMemory {
  private static final Path STATUS = Path.of("/proc/self/status");

  private ProcessMemory() {}

  /** Forgets the peak so far; see proc_pid_clear_refs(5). */
  static void forgetPeak() throws IOException {
    Files.writeString(Path.of("/proc/self/clear_refs"), "5");
  }

  /** Resident now, bytes. */
  static long resident() throws IOException {
    return bytes("VmRSS");
  }

  /** Most that was resident since the peak was forgotten, bytes. */
  static long peak() throws IOException {
    return bytes("VmHWM");
  }

  private static long bytes(String field) throws IOException {
    return Files.readAllLines(STATUS).stream()
        .filter(line -> line.startsWith(field + ":"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
        .findFirst()
        .orElseThrow(() -> new IOException(STATUS + ": no " + field));
  }
}
