package io.reflux.bench.serve;

import io.reflux.bench.Medians;
import io.reflux.bench.Result;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.KeyValueFormat;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedQueue;

/** The engine against itself with another setting. */
final class Engines implements AutoCloseable {
  private static final long PREFIX_CACHE_BYTES = 64L << 20;

  private final BenchStudent student;
  private final int streams;
  private final OwnEngine reusing;
  private final OwnEngine full;
  private final OwnEngine few;

  Engines(BenchStudent student, int streams, int positions) {
    this.student = student;
    this.streams = streams;
    EngineOptions options = new EngineOptions(streams, positions);
    reusing = new OwnEngine(student, options.withPrefixCache(PREFIX_CACHE_BYTES));
    full = new OwnEngine(student, options);
    few = new OwnEngine(student, options.withKeyValues(KeyValueFormat.INT8));
  }

  /**
   * Candidates of one prompt that nobody asked before, all at once: the times to their first tokens
   * against the first one's.
   */
  void candidates(int run, int promptTokens, Result.Builder result) throws Exception {
    String prompt = student.prompt(promptTokens, 104_729L * run + 1);
    Queue<Double> firsts = new ConcurrentLinkedQueue<>();
    List<Callable<Void>> tasks = new ArrayList<>();
    for (int i = 0; i < streams; i++) {
      tasks.add(
          () -> {
            firsts.add(reusing.answer(prompt, 1).firstNanos() / 1e6);
            return null;
          });
    }
    Streams.of(tasks);
    double[] sorted = firsts.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    double again = reusing.answer(prompt, 1).firstNanos() / 1e6;
    if (run >= 0) {
      result
          .sample("prefix_ttft_ratio", sorted[sorted.length - 1] / sorted[0], "")
          .sample("prefix_ttft_again_ratio", again / sorted[0], "");
    }
  }

  /** Keys and values in 8 bits against full ones: many streams with long prompts, and a prompt. */
  void keyValues(int run, int promptTokens, int tokens, Result.Builder result) throws Exception {
    double[] decode = new double[2];
    double[] first = new double[2];
    for (int turn = 0; turn < 2; turn++) {
      int who = (turn + Math.abs(run)) % 2;
      OwnEngine engine = who == 0 ? full : few;
      Queue<Double> rates = new ConcurrentLinkedQueue<>();
      Queue<Double> firsts = new ConcurrentLinkedQueue<>();
      List<Callable<Void>> tasks = new ArrayList<>();
      for (int i = 0; i < streams; i++) {
        String prompt = student.prompt(promptTokens, 15_485_863L * run + i);
        tasks.add(
            () -> {
              Contender.Answer answer = engine.answer(prompt, tokens);
              rates.add((double) answer.lastNanos());
              firsts.add((double) answer.firstNanos());
              return null;
            });
      }
      Streams.of(tasks);
      // From when the last of them had its first token: all of them decode from then on.
      double begun = firsts.stream().mapToDouble(Double::doubleValue).max().orElseThrow();
      decode[who] = Medians.of(rates) - begun;
      first[who] = begun;
    }
    if (run >= 0) {
      result
          .sample("kv_int8_decode_ratio_" + streams, decode[0] / decode[1], "")
          .sample("kv_int8_prefill_ratio", first[0] / first[1], "");
    }
  }

  @Override
  public void close() {
    reusing.close();
    full.close();
    few.close();
  }
}
