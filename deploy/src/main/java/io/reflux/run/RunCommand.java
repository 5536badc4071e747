package io.reflux.run;

import io.reflux.cli.ConfigOptions;
import io.reflux.cli.Logging;
import io.reflux.config.Settings;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The whole loop in one process. */
@Command(
    name = "run",
    description = {
      "Runs the whole loop in this process, from the broker to the page.",
      "It starts a real Kafka broker, a schema registry, the mirror, the teacher scorer, the "
          + "student trainer, serving and the drift monitor. With no options a bundled teacher and "
          + "generated traffic are used."
    },
    mixinStandardHelpOptions = true)
public final class RunCommand implements Callable<Integer> {
  @Option(
      names = "--teacher",
      paramLabel = "DIR",
      description = "Hugging Face directory of the teacher (default: the bundled one).")
  private Path teacher;

  @Option(
      names = "--student",
      paramLabel = "DIR|SHAPE",
      description =
          "Where the student starts: a directory, or such as hidden=96,layers=2,heads=4,kv-heads=2,"
              + "ffn=256 (default: untrained, a tenth of the teacher's size or less).")
  private String student;

  @Option(
      names = "--traffic",
      paramLabel = "FILE.jsonl|generated|none",
      defaultValue = "generated",
      description =
          "Prompts to mirror: a file of {\"prompt\": …} lines (responses in it are not sent), "
              + "generated ones, or none to wait for your own (default: ${DEFAULT-VALUE}).")
  private String traffic;

  @Option(
      names = "--rate",
      paramLabel = "N",
      defaultValue = "20",
      description = "Requests a second (default: ${DEFAULT-VALUE}).")
  private double rate;

  @Option(
      names = "--duration",
      paramLabel = "TIME",
      description = "Stop after this long: 240 (seconds), 10m (default: until Ctrl-C).")
  private String duration;

  @Option(
      names = "--shift-after",
      paramLabel = "TIME",
      description =
          "When generated traffic shifts its mix; 0 never (default: once the student has learnt the "
              + "first mix, between two and three fifths of --duration, or of 5 minutes).")
  private String shiftAfter;

  @Option(
      names = "--data-dir",
      paramLabel = "DIR",
      description = "Keep the state here and resume it (default: temporary, deleted at the end).")
  private Path dataDir;

  @Option(names = "--report", paramLabel = "FILE", description = "Write what happened as JSON.")
  private Path report;

  @Option(
      names = "--browser",
      negatable = true,
      description = "Open the page in a browser (default: --no-browser).")
  private boolean browser;

  @Option(
      names = "--seed",
      defaultValue = "1",
      description = "Seed of traffic and training (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Mixin private ConfigOptions config;

  @Override
  public Integer call() throws IOException, InterruptedException {
    RunOptions options = options();
    CountDownLatch stop = new CountDownLatch(1);
    CountDownLatch stopped = new CountDownLatch(1);
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    Thread drain =
        new Thread(
            () -> {
              stop.countDown();
              awaitUninterrupted(stopped);
            },
            "drain");
    Runtime.getRuntime().addShutdownHook(drain);
    try (DataDirectory data = DataDirectory.open(dataDir)) {
      Logging.toFile(data.resolve("reflux.log"));
      LoopRun run = new LoopRun(options, config, data, out);
      run.execute(stop);
      return 0;
    } finally {
      stopped.countDown();
    }
  }

  private RunOptions options() {
    if (!(rate > 0 && rate <= 100_000)) {
      throw new RefluxException("--rate: " + rate + " (expected: above 0, to 100000)");
    }
    if (teacher != null && !Files.isDirectory(teacher)) {
      throw new RefluxException("--teacher: " + teacher + " (expected: a Hugging Face directory)");
    }
    boolean named = traffic.equals("generated") || traffic.equals("none");
    if (!named && !Files.isRegularFile(Path.of(traffic))) {
      throw new RefluxException(
          "--traffic: " + traffic + " (expected: a JSONL file, generated or none)");
    }
    if (report != null) {
      Path folder = report.toAbsolutePath().getParent();
      // Found out now rather than after the whole run.
      if (!Files.isDirectory(folder) || !Files.isWritable(folder)) {
        throw new RefluxException(
            "--report: " + report + " (expected: a file in a writable folder)");
      }
    }
    Duration wholeRun = duration("--duration", duration, null);
    if (wholeRun != null && wholeRun.isZero()) {
      throw new RefluxException("--duration: " + duration + " (expected: more than 0)");
    }
    Duration shift = duration("--shift-after", shiftAfter, null);
    return new RunOptions(teacher, student, traffic, rate, wholeRun, shift, report, browser, seed);
  }

  private static Duration duration(String option, String text, Duration otherwise) {
    if (text == null) {
      return otherwise;
    }
    try {
      return Settings.parseDuration(text);
    } catch (IllegalArgumentException e) {
      throw new RefluxException(option + ": " + e.getMessage(), e);
    }
  }

  private static void awaitUninterrupted(CountDownLatch latch) {
    try {
      // Draining is bounded: whatever hangs must not keep the process from ending.
      if (!latch.await(60, TimeUnit.SECONDS)) {
        System.err.println("reflux: draining took longer than 60 s and was cut off");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * What to run.
   *
   * @param teacher null for the bundled one
   * @param student null for a tenth of the teacher
   * @param duration null for no end
   * @param shiftAfter zero for never; null for when the student is ready for it
   * @param report null for none
   */
  record RunOptions(
      Path teacher,
      String student,
      String traffic,
      double rate,
      Duration duration,
      Duration shiftAfter,
      Path report,
      boolean browser,
      long seed) {}
}
