package io.reflux.bench.train;

import io.reflux.bench.ChildJvm;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Starts {@link TrainProbe}s, and reads what they say. */
final class Probes {
  /**
   * The heap is there from the start, so that only what is outside of it grows. Java's own code is
   * not what is measured.
   */
  private static final List<String> FLAGS =
      List.of(
          "-Xms768m",
          "-Xmx768m",
          "-XX:+AlwaysPreTouch",
          "-XX:+UseSerialGC",
          "-XX:TieredStopAtLevel=1");

  private final Path folder;
  private final int threads;
  private int started;

  Probes(Path folder, int threads) {
    this.folder = folder;
    this.threads = threads;
  }

  /**
   * Peak growth in bytes.
   *
   * @param what step or loss
   */
  double growth(
      String what, Trainee.Way way, String shape, int vocabulary, int sequences, int length)
      throws IOException, InterruptedException {
    started++;
    Path log = folder.resolve("probe-" + started + ".log");
    List<String> arguments =
        List.of(
            what,
            way.name(),
            shape,
            Integer.toString(vocabulary),
            Integer.toString(sequences),
            Integer.toString(length),
            Integer.toString(threads),
            folder.resolve("probe-" + started).toString());
    try (ChildJvm child = ChildJvm.start(TrainProbe.class, FLAGS, arguments, log)) {
      if (!child.awaitEnd(40, TimeUnit.MINUTES) || child.exitCode() != 0) {
        throw new RefluxException("bench: the process that trains failed: " + child.printed());
      }
      long[] beforeAndPeak =
          child
              .printed()
              .lines()
              .filter(line -> line.startsWith(TrainProbe.SAYS + " "))
              .map(line -> line.split(" "))
              .map(words -> new long[] {Long.parseLong(words[1]), Long.parseLong(words[2])})
              .findFirst()
              .orElseThrow(
                  () -> new RefluxException("bench: the process that trains said nothing"));
      return (double) (beforeAndPeak[1] - beforeAndPeak[0]);
    }
  }
}
