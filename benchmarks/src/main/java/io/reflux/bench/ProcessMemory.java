package io.reflux.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/** What processes occupy, as Linux sees it. */
public final class ProcessMemory {
  private static final String SELF = "self";

  private ProcessMemory() {}

  /** Forgets this process's peak so far; see proc_pid_clear_refs(5). */
  public static void forgetPeak() throws IOException {
    Files.writeString(Path.of("/proc/self/clear_refs"), "5");
  }

  /** Resident now, bytes, of this process. */
  public static long resident() throws IOException {
    return bytes(SELF, "VmRSS").orElseThrow(() -> new IOException("/proc/self/status: no VmRSS"));
  }

  /** Resident now, bytes, of another process; empty of one that has ended. */
  public static OptionalLong resident(long pid) throws IOException {
    return bytes(Long.toString(pid), "VmRSS");
  }

  /** Most that was resident in this process since the peak was forgotten, bytes. */
  public static long peak() throws IOException {
    return bytes(SELF, "VmHWM").orElseThrow(() -> new IOException("/proc/self/status: no VmHWM"));
  }

  private static OptionalLong bytes(String process, String field) throws IOException {
    return Files.readAllLines(Path.of("/proc", process, "status")).stream()
        .filter(line -> line.startsWith(field + ":"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024)
        .findFirst();
  }
}
