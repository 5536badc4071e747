package io.reflux.bench.serve;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Does the same at the same time. */
final class Streams {
  private Streams() {}

  /**
   * What all of it took.
   *
   * @param cpuSeconds of the whole process
   */
  record Time(double seconds, double cpuSeconds) {}

  static Time of(List<Callable<Void>> tasks) throws InterruptedException, ExecutionException {
    ExecutorService pool = Executors.newFixedThreadPool(tasks.size());
    try {
      long cpu = cpuNanos();
      long began = System.nanoTime();
      List<Future<Void>> all = new ArrayList<>(pool.invokeAll(tasks));
      for (Future<Void> one : all) {
        one.get();
      }
      return new Time((System.nanoTime() - began) / 1e9, (cpuNanos() - cpu) / 1e9);
    } finally {
      pool.shutdownNow();
    }
  }

  /** Of this process, all threads. */
  static long cpuNanos() {
    return java.lang.management.ManagementFactory.getPlatformMXBean(
            com.sun.management.OperatingSystemMXBean.class)
        .getProcessCpuTime();
  }
}
