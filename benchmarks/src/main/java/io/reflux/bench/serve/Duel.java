package io.reflux.bench.serve;

import io.reflux.bench.Medians;
import io.reflux.bench.Result;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.gguf.GgufType;
import io.reflux.model.gguf.GgufWriter;
import io.reflux.model.runtime.EngineOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;

/** The engine and llama.cpp with the same weights in one format, in turns. */
final class Duel implements AutoCloseable {
  private static final int FIRST_TOKENS = 5;

  private final BenchStudent student;
  private final WeightFormat format;
  private final int streams;
  private final List<Contender> open = new ArrayList<>();
  private final Contender ownAlone;
  private final Contender ownTogether;
  private final Contender peerAlone;
  private final Contender peerTogether;

  /**
   * Opens both, for one stream and for many.
   *
   * @param full weights in float32
   * @param format INT8 for Q8_0, INT4 for Q4_0
   */
  Duel(BenchStudent full, WeightFormat format, int streams, int positions, Path folder) {
    this.student = full.quantised(format);
    this.format = format;
    this.streams = streams;
    GgufType type = format == WeightFormat.INT8 ? GgufType.Q8_0 : GgufType.Q4_0;
    Path file = folder.resolve("student-" + type + ".gguf");
    GgufWriter.write(file, student.config(), student.weights(), student.text(), type);
    ownAlone = opened(new OwnEngine(student, new EngineOptions(1, positions)));
    ownTogether = opened(new OwnEngine(student, new EngineOptions(streams, positions)));
    peerAlone = opened(new LlamaPeer(file, 1, positions, false));
    peerTogether = opened(new LlamaPeer(file, streams, positions, false));
  }

  private Contender opened(Contender contender) {
    open.add(contender);
    return contender;
  }

  /** One run's ratios, ours over theirs; of times theirs are below. */
  record Ratios(double decodeAlone, double decodeTogether, double firstToken) {}

  /**
   * Runs everything once.
   *
   * @param result null for a run that warms up
   */
  Ratios measure(int run, int promptTokens, int longPrompt, int tokens, Result.Builder result)
      throws Exception {
    boolean ownFirst = run % 2 == 0;
    double[] alone = {0, 0};
    double[] together = {0, 0};
    double[] cpu = {0, 0};
    double[] cpuAlone = {0, 0};
    double[] first = {0, 0};
    double[] cpuFirst = {0, 0};
    for (int turn = 0; turn < 2; turn++) {
      int who = (turn == 0) == ownFirst ? 0 : 1;
      Contender one = who == 0 ? ownAlone : peerAlone;
      Contender many = who == 0 ? ownTogether : peerTogether;
      String prompt = student.prompt(promptTokens, run);
      long began = Streams.cpuNanos();
      alone[who] = one.answer(prompt, tokens).decodeTokensPerSecond();
      cpuAlone[who] = tokens / ((Streams.cpuNanos() - began) / 1e9);
      Streams.Time time = together(many, run, promptTokens, tokens);
      together[who] = streams * tokens / time.seconds();
      cpu[who] = streams * tokens / time.cpuSeconds();
      List<Double> firsts = new ArrayList<>();
      List<Double> cpuFirsts = new ArrayList<>();
      for (int i = 0; i < FIRST_TOKENS; i++) {
        String asked = student.prompt(longPrompt, 31L * run + i);
        long before = Streams.cpuNanos();
        firsts.add(one.answer(asked, 1).firstNanos() / 1e6);
        cpuFirsts.add((Streams.cpuNanos() - before) / 1e6);
      }
      first[who] = Medians.of(firsts);
      cpuFirst[who] = Medians.of(cpuFirsts);
    }
    if (result != null) {
      String name = "_" + format;
      result
          .sample("decode_ratio_1" + name, alone[0] / alone[1], "")
          .sample("decode_ratio_" + streams + name, together[0] / together[1], "")
          .sample("decode_cpu_ratio_1" + name, cpuAlone[0] / cpuAlone[1], "")
          .sample("decode_cpu_ratio_" + streams + name, cpu[0] / cpu[1], "")
          .sample("ttft_cpu_ratio" + name, cpuFirst[0] / cpuFirst[1], "")
          .sample("ttft_ratio" + name, first[0] / first[1], "")
          .sample("own_1" + name, alone[0], "tokens/s")
          .sample("llama_1" + name, alone[1], "tokens/s")
          .sample("own_" + streams + name, together[0], "tokens/s")
          .sample("llama_" + streams + name, together[1], "tokens/s")
          .sample("own_ttft" + name, first[0], "ms")
          .sample("llama_ttft" + name, first[1], "ms");
    }
    return new Ratios(alone[0] / alone[1], together[0] / together[1], first[0] / first[1]);
  }

  private Streams.Time together(Contender contender, int run, int promptTokens, int tokens)
      throws Exception {
    List<Callable<Void>> tasks = new ArrayList<>();
    for (int i = 0; i < streams; i++) {
      String prompt = student.prompt(promptTokens, 7919L * run + i);
      tasks.add(
          () -> {
            contender.answer(prompt, tokens);
            return null;
          });
    }
    return Streams.of(tasks);
  }

  @Override
  public void close() {
    open.forEach(Contender::close);
  }
}
