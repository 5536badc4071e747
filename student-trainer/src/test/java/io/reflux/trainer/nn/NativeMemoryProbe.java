package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.trainer.pretrain.Shape;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;

/** A process of its own whose native memory can be told from everything else's. */
final class NativeMemoryProbe {
  private static final Path STATUS = Path.of("/proc/self/status");

  private NativeMemoryProbe() {}

  /** Whether this system tells a process's memory. */
  static boolean possible() {
    return Files.isReadable(STATUS) && Files.isWritable(Path.of("/proc/self/clear_refs"));
  }

  /**
   * Runs {@link #main}, as the launcher would, in an environment.
   *
   * @param exact whether what is free is given back at once, so that no holes are counted
   */
  static List<Long> run(boolean exact, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(
        List.of("-Xms256m", "-Xmx256m", "-XX:+AlwaysPreTouch", "-XX:TieredStopAtLevel=1", "-cp"));
    command.add(
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")));
    command.add(NativeMemoryProbe.class.getName());
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectError(new File("/dev/null"));
    builder.environment().put("MALLOC_ARENA_MAX", "1");
    if (exact) {
      builder.environment().put("MALLOC_MMAP_THRESHOLD_", "65536");
    }
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IOException("probe: exit status " + process.exitValue());
    }
    return output
        .lines()
        .filter(line -> line.startsWith("bytes "))
        .map(line -> Long.parseLong(line.substring(6)))
        .toList();
  }

  /**
   * Prints the growth of the resident set: its peak over the steps if {@code every} is 0, else as
   * it stands every so many steps.
   *
   * @param arguments shape, shortest and longest sequence, tokens a step, steps, every,
   *     checkpointEvery, precision
   */
  public static void main(String[] arguments) throws IOException {
    Shape shape = Shape.parse(arguments[0]);
    int[] numbers = new int[6];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = Integer.parseInt(arguments[i + 1]);
    }
    ModelOptions options =
        ModelOptions.DEFAULT
            .withCheckpointEvery(numbers[5])
            .withPrecision(Precision.valueOf(arguments[7]));
    // Brings in the libraries' code and their own buffers.
    steps(Shape.parse("hidden=64,layers=1,heads=1,vocab=512"), options, 8, 40, 512, 5, 0, 0);
    System.gc();
    Files.writeString(Path.of("/proc/self/clear_refs"), "5");
    long before = bytes("VmRSS");
    steps(shape, options, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], before);
    if (numbers[4] == 0) {
      System.out.println("bytes " + (bytes("VmHWM") - before));
    }
  }

  private static void steps(
      Shape shape,
      ModelOptions options,
      int shortest,
      int longest,
      int tokens,
      int steps,
      int every,
      long before)
      throws IOException {
    int vocabulary = shape.vocabularySize().orElseThrow();
    ModelConfig config = shape.config(vocabulary, OptionalInt.empty(), List.of(0));
    Random random = new Random(1);
    try (TrainableModel model =
        new TrainableModel(config, RandomModel.weights(config, 1), AdamW.DEFAULT, options)) {
      System.gc();
      for (int step = 1; step <= steps; step++) {
        List<TrainingSequence> batch = new ArrayList<>();
        int left = tokens;
        while (left > 1) {
          int length = Math.min(left, shortest + random.nextInt(longest - shortest + 1));
          batch.add(TrainingSequence.of(random.ints(length, 0, vocabulary).toArray()));
          left -= length;
        }
        model.accumulate(new Batch(batch, vocabulary));
        model.update(1e-4);
        if (every > 0 && step % every == 0) {
          System.gc();
          System.out.println("bytes " + (bytes("VmRSS") - before));
        }
      }
    }
  }

  private static long bytes(String key) throws IOException {
    for (String line : Files.readAllLines(STATUS)) {
      if (line.startsWith(key + ":")) {
        return Long.parseLong(line.replaceAll("\\D", "")) << 10;
      }
    }
    throw new IOException(key + " in " + STATUS + ": absent");
  }
}
