package io.reflux.bench.kills;

import io.reflux.bench.ChildJvm;
import io.reflux.bench.kafka.TrainerProcess;
import io.reflux.devstack.DevStack;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Runs of one trainer to one last step, with kills on the way or without. */
final class TrainerRuns {
  /** For a quick start: most of a killed process's life is one. */
  private static final List<String> FLAGS =
      List.of("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dai.djl.offline=true");

  private static final Pattern ENDED =
      Pattern.compile("Stopped at step \\d+: weights ([0-9a-f]{64})");
  private static final Duration STEP_WITHIN = Duration.ofMinutes(2);
  private static final Duration END_WITHIN = Duration.ofMinutes(10);
  private static final int LOOK_EVERY_MILLIS = 5;

  private final DevStack stack;
  private final String prefix;
  private final Map<String, String> settings;
  private final int steps;

  /**
   * @param prefix of the topics
   * @param settings of the trainer, without data directory and channel
   * @param steps that it does in all
   */
  TrainerRuns(DevStack stack, String prefix, Map<String, String> settings, int steps) {
    this.stack = stack;
    this.prefix = prefix;
    this.settings = settings;
    this.steps = steps;
  }

  /**
   * Trains to the last step, from wherever the data directory is, and returns the weights' hash.
   */
  String finish(Path data) throws IOException, InterruptedException {
    Path log = data.resolveSibling(data.getFileName() + ".log");
    try (ChildJvm trainer = start(data, log)) {
      if (!trainer.awaitEnd(END_WITHIN.toSeconds(), TimeUnit.SECONDS)) {
        throw new RefluxException(
            "bench: not at step " + steps + " within " + END_WITHIN + ": " + trainer.printed());
      }
      Matcher ended = ENDED.matcher(trainer.printed());
      if (trainer.exitCode() != 0 || !ended.find()) {
        throw new RefluxException("bench: the trainer ended: " + trainer.printed());
      }
      return ended.group(1);
    }
  }

  /**
   * Starts it and kills it.
   *
   * @param step that it must have begun by then; 0 kills it while it starts
   * @param millis after that, or after the start
   * @return the last step that it began
   */
  long kill(Path data, long step, int millis) throws IOException, InterruptedException {
    Path log = data.resolveSibling(data.getFileName() + ".log");
    try (ChildJvm trainer = start(data, log)) {
      long end = System.nanoTime() + STEP_WITHIN.toNanos();
      while (step > 0 && notedStep(data) < step) {
        if (trainer.awaitEnd(LOOK_EVERY_MILLIS, TimeUnit.MILLISECONDS) || System.nanoTime() > end) {
          throw new RefluxException("bench: step " + step + " not reached: " + trainer.printed());
        }
      }
      if (trainer.awaitEnd(millis, TimeUnit.MILLISECONDS)) {
        throw new RefluxException("bench: the trainer ended by itself: " + trainer.printed());
      }
      trainer.kill();
    }
    return notedStep(data);
  }

  /** Kills spread over the steps, at random moments; one in so many around start-up. */
  void killAll(int kills, int earlyEvery, int mostEarlyMillis, Path data, Random random, Told told)
      throws IOException, InterruptedException {
    for (int kill = 0; kill < kills; kill++) {
      boolean early = kill % earlyEvery == earlyEvery - 1;
      long target = 1 + (long) steps * kill / (kills + 1);
      long step =
          early
              ? kill(data, 0, random.nextInt(mostEarlyMillis))
              : kill(data, target, random.nextInt(30));
      told.killed(kill + 1, step);
    }
  }

  /** Hears of each kill. */
  interface Told {
    void killed(int kill, long step);
  }

  /** Leaves the journals alone: what was done is to be done again from them, from the start on. */
  static Path withoutCheckpoints(Path data, Path to) throws IOException {
    Files.createDirectories(to);
    try (Stream<Path> files = Files.list(data)) {
      for (Path file : files.filter(path -> path.toString().endsWith(".journal")).toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
    }
    return to;
  }

  private ChildJvm start(Path data, Path log) throws IOException {
    Map<String, String> all = new HashMap<>(settings);
    all.put("data-dir", data.toString());
    // Runs side by side on one channel would overtake each other.
    all.put("channel", data.getFileName().toString());
    all.put("stop-at-step", Integer.toString(steps));
    KafkaConfig kafka = stack.kafkaConfig(prefix);
    List<String> arguments =
        new ArrayList<>(
            List.of(kafka.bootstrapServers(), kafka.prefix(), stack.registryConfig().url()));
    all.forEach((key, value) -> arguments.add(key + "=" + value));
    return ChildJvm.start(TrainerProcess.class, FLAGS, arguments, log);
  }

  /** The last step that was begun, as the journals have it; 0 before the first. */
  private static long notedStep(Path data) throws IOException {
    if (!Files.isDirectory(data)) {
      return 0;
    }
    long newest = 0;
    List<Path> journals;
    try (Stream<Path> files = Files.list(data)) {
      journals = files.filter(path -> path.toString().endsWith(".journal")).sorted().toList();
    }
    for (Path journal : journals) {
      String noted;
      try {
        noted = Files.readString(journal);
      } catch (NoSuchFileException e) {
        // The trainer has let go of it meanwhile, since newer ones hold what counts.
        continue;
      }
      for (String line : noted.split("\n", -1)) {
        // A line that is being written does not count yet.
        if (line.startsWith("step ") && line.contains(" #")) {
          newest = Math.max(newest, Long.parseLong(line.split(" ", 3)[1]));
        }
      }
    }
    return newest;
  }
}
