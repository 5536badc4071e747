package io.reflux.bench;

import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * How to run a benchmark.
 *
 * @param quick whether to take the fewest and smallest runs that still mean something
 * @param seed of everything that is drawn
 * @param cases empty leaves it to the benchmark
 * @param kills empty leaves it to the benchmark
 * @param teacher a Hugging Face directory
 * @param plot an SVG file
 * @param data a directory of text to learn from
 * @param seeds empty leaves it to the benchmark
 * @param duration empty leaves it to the benchmark
 * @param work where what is finished is kept; empty keeps nothing
 */
public record BenchmarkOptions(
    boolean quick,
    long seed,
    OptionalLong cases,
    OptionalInt kills,
    Optional<Path> teacher,
    Optional<Path> plot,
    Optional<Path> data,
    OptionalInt seeds,
    Optional<Duration> duration,
    Optional<Path> work) {

  public BenchmarkOptions {
    if (cases.isPresent() && cases.getAsLong() < 1) {
      throw new RefluxException("--cases: " + cases.getAsLong() + " (expected: 1 or more)");
    }
    if (kills.isPresent() && kills.getAsInt() < 1) {
      throw new RefluxException("--kills: " + kills.getAsInt() + " (expected: 1 or more)");
    }
    if (seeds.isPresent() && seeds.getAsInt() < 1) {
      throw new RefluxException("--seeds: " + seeds.getAsInt() + " (expected: 1 or more)");
    }
    if (duration.isPresent() && (duration.get().isNegative() || duration.get().isZero())) {
      throw new RefluxException("--duration: " + duration.get() + " (expected: a positive time)");
    }
  }

  /** Nothing said but how much to measure. */
  public static BenchmarkOptions of(boolean quick) {
    return new BenchmarkOptions(
        quick,
        1,
        OptionalLong.empty(),
        OptionalInt.empty(),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        OptionalInt.empty(),
        Optional.empty(),
        Optional.empty());
  }

  /** With how many cases to try. */
  public BenchmarkOptions withCases(long value) {
    return new BenchmarkOptions(
        quick, seed, OptionalLong.of(value), kills, teacher, plot, data, seeds, duration, work);
  }

  /** With a teacher. */
  public BenchmarkOptions withTeacher(Path directory) {
    return new BenchmarkOptions(
        quick, seed, cases, kills, Optional.of(directory), plot, data, seeds, duration, work);
  }

  /** With a file to draw. */
  public BenchmarkOptions withPlot(Path file) {
    return new BenchmarkOptions(
        quick, seed, cases, kills, teacher, Optional.of(file), data, seeds, duration, work);
  }

  /** With text to learn from. */
  public BenchmarkOptions withData(Path directory) {
    return new BenchmarkOptions(
        quick, seed, cases, kills, teacher, plot, Optional.of(directory), seeds, duration, work);
  }

  /** With a number of seeds. */
  public BenchmarkOptions withSeeds(int value) {
    return new BenchmarkOptions(
        quick, seed, cases, kills, teacher, plot, data, OptionalInt.of(value), duration, work);
  }

  /** With a time to go on for. */
  public BenchmarkOptions withDuration(Duration value) {
    return new BenchmarkOptions(
        quick, seed, cases, kills, teacher, plot, data, seeds, Optional.of(value), work);
  }

  /** With a place for what is finished. */
  public BenchmarkOptions withWork(Path directory) {
    return new BenchmarkOptions(
        quick, seed, cases, kills, teacher, plot, data, seeds, duration, Optional.of(directory));
  }

  /**
   * The teacher.
   *
   * @throws RefluxException if none was given
   */
  public Path requireTeacher() {
    return teacher.orElseThrow(
        () -> new RefluxException("--teacher: missing (expected: a Hugging Face directory)"));
  }
}
