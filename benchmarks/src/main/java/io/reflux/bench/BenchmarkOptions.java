package io.reflux.bench;

import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
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
 */
public record BenchmarkOptions(
    boolean quick,
    long seed,
    OptionalLong cases,
    OptionalInt kills,
    Optional<Path> teacher,
    Optional<Path> plot) {

  public BenchmarkOptions {
    if (cases.isPresent() && cases.getAsLong() < 1) {
      throw new RefluxException("--cases: " + cases.getAsLong() + " (expected: 1 or more)");
    }
    if (kills.isPresent() && kills.getAsInt() < 1) {
      throw new RefluxException("--kills: " + kills.getAsInt() + " (expected: 1 or more)");
    }
  }

  /** Nothing said but how much to measure. */
  public static BenchmarkOptions of(boolean quick) {
    return new BenchmarkOptions(
        quick, 1, OptionalLong.empty(), OptionalInt.empty(), Optional.empty(), Optional.empty());
  }

  /** With a teacher. */
  public BenchmarkOptions withTeacher(Path directory) {
    return new BenchmarkOptions(quick, seed, cases, kills, Optional.of(directory), plot);
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
