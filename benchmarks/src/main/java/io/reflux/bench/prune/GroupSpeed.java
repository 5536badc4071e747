package io.reflux.bench.prune;

import io.reflux.bench.Medians;
import io.reflux.bench.Result;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.PrunedShape;
import io.reflux.model.compress.PruningMask;
import io.reflux.model.evaluate.Throughput;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.trainer.pretrain.Shape;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/**
 * How much faster a model reads and writes without half of its key-value groups, the two in turns
 * in one run. Speed does not depend on what weights are, so these are random, and the first groups
 * stay. The same again without almost all neurons: what is left is nearly attention alone.
 */
final class GroupSpeed {
  private static final RuntimeOptions RUNTIME = RuntimeOptions.DEFAULT;
  private static final int FEWEST_NEURONS = 32;
  private static final String WHOLE = "whole";
  private static final List<String> COLUMNS =
      List.of(
          "model",
          "prompt_tokens",
          "dense_prefill_tokens_per_second",
          "half_prefill_tokens_per_second",
          "prefill_ratio",
          "dense_decode_tokens_per_second",
          "half_decode_tokens_per_second",
          "decode_ratio");

  private final PruneSize.Speed size;
  private final Result.Builder result;
  private final PrintWriter progress;
  private final List<List<Object>> rows = new ArrayList<>();

  GroupSpeed(PruneSize.Speed size, Result.Builder result, PrintWriter progress) {
    this.size = size;
    this.result = result;
    this.progress = progress;
  }

  void measure() {
    Shape shape = Shape.parse(size.shape());
    ModelConfig config =
        shape.config(shape.vocabularySize().orElseThrow(), OptionalInt.empty(), List.of(0));
    Checkpoint whole = new Checkpoint(config, RandomModel.weights(config, 1));
    Checkpoint attention =
        cut(whole, new PrunedShape(config.layers(), FEWEST_NEURONS, config.keyValueHeads()));
    for (int prompt : size.prompts()) {
      measure(WHOLE, whole, prompt, "prefill_ratio_" + prompt, "decode_ratio_" + prompt);
    }
    for (int prompt : size.prompts()) {
      measure(
          "attention",
          attention,
          prompt,
          "attention_prefill_ratio_" + prompt,
          "attention_decode_ratio_" + prompt);
    }
    result.table(new Result.Table("half_of_the_groups", COLUMNS, rows));
  }

  private void measure(
      String name, Checkpoint dense, int prompt, String prefillKey, String decodeKey) {
    progress.printf("speed without half of the groups: %s, prompts of %d%n", name, prompt);
    progress.flush();
    ModelConfig config = dense.config();
    Checkpoint half =
        cut(
            dense,
            new PrunedShape(
                config.layers(), config.intermediateSize(), config.keyValueHeads() / 2));
    List<Throughput.Speed> before = new ArrayList<>();
    List<Throughput.Speed> after = new ArrayList<>();
    try (Throughput one = open(dense, prompt);
        Throughput other = open(half, prompt)) {
      // The first run warms up.
      for (int run = -1; run < size.runs(); run++) {
        Throughput.Speed whole = one.run(run);
        Throughput.Speed less = other.run(run);
        if (run >= 0) {
          before.add(whole);
          after.add(less);
        }
      }
    }
    List<Double> prefill = new ArrayList<>();
    List<Double> decode = new ArrayList<>();
    for (int run = 0; run < size.runs(); run++) {
      prefill.add(after.get(run).prefill() / before.get(run).prefill());
      decode.add(after.get(run).decode() / before.get(run).decode());
      result.sample(prefillKey, prefill.get(run), "").sample(decodeKey, decode.get(run), "");
      if (name.equals(WHOLE)) {
        result.sample("decode_ratio", decode.get(run), "");
      }
    }
    Throughput.Speed whole = Throughput.Speed.median(before);
    Throughput.Speed less = Throughput.Speed.median(after);
    rows.add(
        List.of(
            name,
            prompt,
            whole.prefill(),
            less.prefill(),
            Medians.of(prefill),
            whole.decode(),
            less.decode(),
            Medians.of(decode)));
  }

  private Throughput open(Checkpoint model, int prompt) {
    return new Throughput(model.config(), model.weights(), prompt, size.newTokens(), RUNTIME);
  }

  /** The first of everything. */
  private static Checkpoint cut(Checkpoint dense, PrunedShape shape) {
    List<List<Integer>> heads = new ArrayList<>();
    List<List<Integer>> neurons = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      heads.add(first(shape.keyValueHeads()));
      neurons.add(first(shape.intermediateSize()));
    }
    PruningMask mask = new PruningMask(first(shape.layers()), heads, neurons);
    Weights weights = mask.cut(dense.config(), dense.weights());
    return new Checkpoint(shape.cut(dense.config()), weights);
  }

  private static List<Integer> first(int count) {
    return IntStream.range(0, count).boxed().toList();
  }
}
