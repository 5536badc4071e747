package io.reflux.bench.labels;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.schemas.labels.CodecFuzz;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Millions of damaged labels on every processor: how many were refused, and whether any got by. */
public final class LabelFuzzBenchmark implements Benchmark {
  private static final long FULL_CASES = 10_000_000;
  private static final long QUICK_CASES = 500_000;

  /** Cases of one seed, on sound records of their own. */
  private static final int PORTION = 20_000;

  private static final int PROGRESS_LINES = 10;

  @Override
  public String name() {
    return "label-fuzz";
  }

  @Override
  public String description() {
    return "damaged soft labels are refused, never read as wrong numbers";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.CASES);
  }

  /**
   * What became of a portion.
   *
   * @param violation what went wrong, which ends a portion; null when nothing did
   */
  private record Portion(long cases, long rejected, String violation) {
    static Portion run(long seed, long cases) {
      try {
        CodecFuzz.Outcome outcome = CodecFuzz.run(seed, cases);
        return new Portion(cases, outcome.rejected(), null);
      } catch (IllegalStateException e) {
        return new Portion(0, 0, e.getMessage());
      }
    }
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    long wanted = options.cases().orElse(options.quick() ? QUICK_CASES : FULL_CASES);
    int threads = Runtime.getRuntime().availableProcessors();
    Result.Builder result = new Result.Builder(name());
    long started = System.nanoTime();
    long cases = 0;
    long rejected = 0;
    long violations = 0;
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      List<Future<Portion>> portions = new ArrayList<>();
      for (long from = 0; from < wanted; from += PORTION) {
        // Which cases are run must not depend on how many threads there are.
        long seed = Math.addExact(Math.multiplyExact(options.seed(), 1_000_003L), from);
        long count = Math.min(PORTION, wanted - from);
        portions.add(pool.submit(() -> Portion.run(seed, count)));
      }
      long shown = 0;
      for (Future<Portion> future : portions) {
        Portion portion = future.get();
        cases += portion.cases();
        rejected += portion.rejected();
        if (portion.violation() != null) {
          violations++;
          progress.println("violation: " + portion.violation());
        }
        if (cases * PROGRESS_LINES / wanted > shown) {
          shown = cases * PROGRESS_LINES / wanted;
          progress.printf("%,d of %,d cases, %d violations%n", cases, wanted, violations);
        }
        progress.flush();
      }
    } finally {
      pool.shutdownNow();
    }
    double seconds = (System.nanoTime() - started) / 1e9;
    if (violations > 0) {
      result.failure("violations: " + violations + " (expected: 0)");
    }
    return result
        .count("cases", cases)
        .count("rejected", rejected)
        .count("accepted_consistent", cases - rejected)
        .count("violations", violations)
        .sample("cases_per_second", cases / seconds, "cases/s")
        .condition("threads", threads)
        .condition(
            "damage",
            "bits and bytes changed, cut, extended, filled, spliced, other format tags; one to"
                + " three a case; the checksum made to fit in half of them")
        .condition("sound_records", "all encodings and the first format, new ones every " + PORTION)
        .build();
  }
}
