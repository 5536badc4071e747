package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.onnx.DecodeGraph;
import io.reflux.model.onnx.ExchangeGraph;
import io.reflux.model.onnx.GraphOptions;
import io.reflux.model.onnx.OnnxModel;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What others get from an exported decoder, in sessions with nothing of ours but the file. */
@Timeout(60)
class ExchangeGraphTest {
  private static final int NEW_TOKENS = 20;

  @TempDir private Path folder;

  @ParameterizedTest
  @EnumSource
  void greedyTokensAreTheEnginesInEveryFormat(SmallModels model) throws Exception {
    ModelConfig config = model.config();
    Weights plain = RandomModel.variedWeights(config, 5);
    int[] prompt = model.tokens(9, 3);
    for (WeightFormat format : WeightFormat.values()) {
      Weights weights = Quantiser.of(format).quantise(config, plain);
      int[] expected;
      try (GenerationEngine engine =
          new GenerationEngine(config, weights, new EngineOptions(2, 64), RuntimeOptions.DEFAULT)) {
        expected =
            engine
                .submit(
                    new GenerationRequest(prompt, NEW_TOKENS, SamplingOptions.GREEDY, Set.of(), 0),
                    null)
                .result()
                .get()
                .tokenIds();
      }
      try (OrtSession session = open(config, weights)) {
        assertThat(greedy(session, config, prompt)).as(format.toString()).isEqualTo(expected);
      }
    }
  }

  @Test
  void largeWeightsLieBesideTheGraph() throws Exception {
    ModelConfig config = SmallModels.QWEN2_WITH_BIAS.config();
    Weights weights =
        Quantiser.of(WeightFormat.INT4).quantise(config, RandomModel.variedWeights(config, 5));
    int[] ids = SmallModels.QWEN2_WITH_BIAS.tokens(12, 1);
    float[] whole;
    try (OrtSession session = open(config, weights)) {
      whole = logits(session, config, ids, 0);
    }
    Path file = folder.resolve("large/model.onnx");
    OnnxModel graph =
        ExchangeGraph.build(config, weights, new GraphOptions(4, 0, file.getParent()));
    Files.write(file, graph.bytes());
    assertThat(graph.dataFile()).contains(folder.resolve("large/model.onnx.data"));
    // Found by its name beside the graph, wherever both are moved to.
    Path moved = Files.move(file.getParent(), folder.resolve("moved")).resolve("model.onnx");
    try (ExchangeSession session = new ExchangeSession(moved, config)) {
      assertThat(session.logits(ids)).isEqualTo(whole);
    }
  }

  @Test
  void positionsAreTheCallersToSay() throws Exception {
    ModelConfig config = SmallModels.LLAMA_WITH_LLAMA3_SCALING.config();
    int[] ids = SmallModels.LLAMA_WITH_LLAMA3_SCALING.tokens(12, 1);
    try (OrtSession session = open(config, RandomModel.variedWeights(config, 5))) {
      float[] first = logits(session, config, ids, 0);
      // Attention sees distances alone.
      assertThat(logits(session, config, ids, 40))
          .usingComparatorWithPrecision(1e-3f)
          .containsExactly(first);
      try (Inputs apart = new Inputs(config)) {
        apart.tokens(ids, LongStream.range(0, ids.length).map(i -> 3 * i).toArray());
        try (OrtSession.Result result = session.run(apart.tensors)) {
          float[] other = new float[first.length];
          floats(result, ExchangeGraph.LOGITS).get(other);
          assertThat(Math.abs(other[other.length - 1] - first[first.length - 1]))
              .isGreaterThan(1e-3f);
        }
      }
    }
  }

  @Test
  void promptsOfSeveralLengthsAreReadTogether() throws Exception {
    ModelConfig config = SmallModels.QWEN3_WITH_HEAD_NORMS_AND_WIDE_HEADS.config();
    int[] longer = SmallModels.QWEN3_WITH_HEAD_NORMS_AND_WIDE_HEADS.tokens(9, 1);
    int[] shorter = SmallModels.QWEN3_WITH_HEAD_NORMS_AND_WIDE_HEADS.tokens(5, 2);
    try (OrtSession session = open(config, RandomModel.variedWeights(config, 5));
        Inputs both = new Inputs(config)) {
      long[] ids = new long[18];
      long[] mask = new long[18];
      long[] positions = new long[18];
      for (int i = 0; i < 9; i++) {
        ids[i] = longer[i];
        mask[i] = 1;
        positions[i] = i;
        positions[9 + i] = i;
      }
      for (int i = 0; i < 5; i++) {
        ids[9 + i] = shorter[i];
        mask[9 + i] = 1;
      }
      both.put(ExchangeGraph.IDS, ids, 2, 9);
      both.put(ExchangeGraph.MASK, mask, 2, 9);
      both.put(ExchangeGraph.POSITIONS, positions, 2, 9);
      both.nothingBefore(2);
      float[] alone = logits(session, config, shorter, 0);
      try (OrtSession.Result result = session.run(both.tensors)) {
        FloatBuffer together = floats(result, ExchangeGraph.LOGITS);
        float[] second = new float[alone.length];
        together.get(9 * config.vocabularySize(), second);
        for (int i = 0; i < alone.length; i++) {
          assertThat(second[i]).isCloseTo(alone[i], within(1e-4f));
        }
      }
    }
  }

  @Test
  void namesAreThoseOfTheField() throws Exception {
    ModelConfig config = SmallModels.MISTRAL_WITH_SLIDING_WINDOW.config();
    try (OrtSession session = open(config, RandomModel.variedWeights(config, 5))) {
      assertThat(session.getInputInfo())
          .containsKeys("input_ids", "attention_mask", "position_ids")
          .containsKeys("past_key_values.0.key", "past_key_values.2.value")
          .hasSize(3 + 2 * config.layers());
      NodeInfo past = session.getInputInfo().get("past_key_values.1.value");
      assertThat(((TensorInfo) past.getInfo()).getDimensionNames())
          .containsExactly("batch_size", "", "past_sequence_length", "");
      assertThat(((TensorInfo) past.getInfo()).getShape())
          .containsExactly(-1, config.keyValueHeads(), -1, DecodeGraph.cacheHeadSize(config));
      Map<String, NodeInfo> outputs = session.getOutputInfo();
      assertThat(outputs)
          .containsKeys("logits", "present.0.key", "present.2.value")
          .hasSize(1 + 2 * config.layers());
    }
  }

  /** Written to a file and opened as anybody would. */
  private OrtSession open(ModelConfig config, Weights weights) throws Exception {
    Path file = Files.createTempFile(folder, "model", ".onnx");
    Files.write(file, ExchangeGraph.build(config, weights, GraphOptions.inMemory()).bytes());
    try (OrtSession.SessionOptions plain = new OrtSession.SessionOptions()) {
      return OrtSessions.environment().createSession(file.toString(), plain);
    }
  }

  private static float[] logits(OrtSession session, ModelConfig config, int[] ids, int from)
      throws OrtException {
    try (Inputs inputs = new Inputs(config)) {
      inputs.tokens(ids, LongStream.range(from, from + ids.length).toArray());
      try (OrtSession.Result result = session.run(inputs.tensors)) {
        float[] logits = new float[ids.length * config.vocabularySize()];
        floats(result, ExchangeGraph.LOGITS).get(logits);
        return logits;
      }
    }
  }

  /** The prompt at once, then a token a run, what is present becoming what is past. */
  private static int[] greedy(OrtSession session, ModelConfig config, int[] prompt)
      throws OrtException {
    List<Integer> written = new ArrayList<>();
    int[] fed = prompt;
    int past = 0;
    OrtSession.Result before = null;
    try {
      while (written.size() < NEW_TOKENS) {
        try (Inputs inputs = new Inputs(config)) {
          int total = past + fed.length;
          long[] ones = new long[total];
          Arrays.fill(ones, 1);
          inputs.put(ExchangeGraph.IDS, Arrays.stream(fed).asLongStream().toArray(), 1, fed.length);
          inputs.put(ExchangeGraph.MASK, ones, 1, total);
          inputs.put(
              ExchangeGraph.POSITIONS, LongStream.range(past, total).toArray(), 1, fed.length);
          if (before == null) {
            inputs.nothingBefore(1);
          } else {
            inputs.continueFrom(before);
          }
          OrtSession.Result result = session.run(inputs.all());
          if (before != null) {
            before.close();
          }
          before = result;
          FloatBuffer logits = floats(result, ExchangeGraph.LOGITS);
          int best = 0;
          int start = (fed.length - 1) * config.vocabularySize();
          for (int id = 1; id < config.vocabularySize(); id++) {
            best = logits.get(start + id) > logits.get(start + best) ? id : best;
          }
          written.add(best);
          past = total;
          fed = new int[] {best};
        }
      }
    } finally {
      if (before != null) {
        before.close();
      }
    }
    return written.stream().mapToInt(Integer::intValue).toArray();
  }

  private static FloatBuffer floats(OrtSession.Result result, String name) {
    return ((OnnxTensor) result.get(name).orElseThrow()).getFloatBuffer();
  }

  /** Tensors of one run, closed after it; those of the run before are borrowed. */
  private static final class Inputs implements AutoCloseable {
    private final ModelConfig config;
    private final Map<String, OnnxTensor> tensors = new HashMap<>();
    private final Map<String, OnnxTensor> borrowed = new HashMap<>();

    Inputs(ModelConfig config) {
      this.config = config;
    }

    void put(String name, long[] values, long... shape) throws OrtException {
      tensors.put(
          name, OnnxTensor.createTensor(OrtSessions.environment(), LongBuffer.wrap(values), shape));
    }

    void tokens(int[] ids, long[] positions) throws OrtException {
      long[] ones = new long[ids.length];
      Arrays.fill(ones, 1);
      put(ExchangeGraph.IDS, Arrays.stream(ids).asLongStream().toArray(), 1, ids.length);
      put(ExchangeGraph.MASK, ones, 1, ids.length);
      put(ExchangeGraph.POSITIONS, positions, 1, ids.length);
      nothingBefore(1);
    }

    void nothingBefore(int batch) throws OrtException {
      long[] shape = {batch, config.keyValueHeads(), 0, DecodeGraph.cacheHeadSize(config)};
      for (int layer = 0; layer < config.layers(); layer++) {
        for (String name :
            List.of(ExchangeGraph.pastKeys(layer), ExchangeGraph.pastValues(layer))) {
          tensors.put(
              name,
              OnnxTensor.createTensor(OrtSessions.environment(), FloatBuffer.allocate(0), shape));
        }
      }
    }

    void continueFrom(OrtSession.Result before) {
      for (int layer = 0; layer < config.layers(); layer++) {
        borrow(before, ExchangeGraph.presentKeys(layer), ExchangeGraph.pastKeys(layer));
        borrow(before, ExchangeGraph.presentValues(layer), ExchangeGraph.pastValues(layer));
      }
    }

    private void borrow(OrtSession.Result before, String present, String past) {
      borrowed.put(past, (OnnxTensor) before.get(present).orElseThrow());
    }

    Map<String, OnnxTensor> all() {
      Map<String, OnnxTensor> all = new HashMap<>(tensors);
      all.putAll(borrowed);
      return all;
    }

    @Override
    public void close() {
      tensors.values().forEach(OnnxTensor::close);
    }
  }
}
