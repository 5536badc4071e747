package io.reflux.bench.serve;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.reflux.bench.WorkFolder;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.onnx.DecodeGraph;
import io.reflux.model.onnx.GraphOptions;
import io.reflux.model.onnx.OnnxModel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The decode graph in a session, and a loop around it: prompts one after the other, then a step for
 * all of them and the likeliest id of each row, and nothing else. What a server can at best be.
 */
final class BareDecode implements AutoCloseable {
  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final ModelConfig config;
  private final int slots;
  private final int positions;
  private final WorkFolder folder;
  private final OrtSession session;
  private final List<FloatBuffer> caches = new ArrayList<>();
  private final FloatBuffer logprobs;
  private final float[] row;

  BareDecode(BenchStudent student, int slots, int positions) throws IOException, OrtException {
    this.config = student.config();
    this.slots = slots;
    this.positions = positions;
    this.logprobs = floats(slots * config.vocabularySize());
    this.row = new float[config.vocabularySize()];
    for (int i = 0; i < 2 * config.layers(); i++) {
      caches.add(floats(slots * slotFloats()));
    }
    folder = WorkFolder.create("reflux-bench-decode-");
    OrtSession opened = null;
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      OnnxModel model =
          DecodeGraph.build(
              config,
              student.weights(),
              positions,
              GraphOptions.inMemory().withDataIn(folder.path()));
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      options.addConfigEntry("session.intra_op.allow_spinning", "0");
      options.setMemoryPatternOptimization(false);
      if (model.dataFile().isPresent()) {
        options.addConfigEntry(
            "session.model_external_initializers_file_folder_path", folder.path().toString());
      }
      opened = environment.createSession(model.bytes(), options);
    } finally {
      if (opened == null) {
        folder.close();
      }
    }
    session = opened;
  }

  private int slotFloats() {
    return config.keyValueHeads() * positions * DecodeGraph.cacheHeadSize(config);
  }

  /** Continues a prompt a slot by so many tokens each; returns the ids, [slots][tokens]. */
  int[][] run(List<int[]> prompts, int tokens) throws OrtException {
    int[][] answers = new int[slots][tokens];
    for (int slot = 0; slot < slots; slot++) {
      int[] prompt = prompts.get(slot);
      long[] ids = java.util.Arrays.stream(prompt).asLongStream().toArray();
      try (Views views =
          new Views(slot, 1, new long[] {1, ids.length}, new long[] {ids.length - 1})) {
        views.ids.put(0, ids);
        views.lengths.put(0, ids.length);
        views.run();
      }
      answers[slot][0] = likeliest(0);
    }
    long[] rows = java.util.stream.LongStream.range(0, slots).toArray();
    try (Views views = new Views(0, slots, new long[] {slots, 1}, rows)) {
      for (int step = 1; step < tokens; step++) {
        for (int slot = 0; slot < slots; slot++) {
          views.ids.put(slot, answers[slot][step - 1]);
          views.lengths.put(slot, prompts.get(slot).length + step);
        }
        views.run();
        for (int slot = 0; slot < slots; slot++) {
          answers[slot][step] = likeliest(slot);
        }
      }
    }
    return answers;
  }

  private int likeliest(int at) {
    logprobs.get(at * row.length, row);
    int best = 0;
    for (int i = 1; i < row.length; i++) {
      if (row[i] > row[best]) {
        best = i;
      }
    }
    return best;
  }

  @Override
  public void close() throws OrtException {
    try {
      session.close();
    } finally {
      folder.close();
    }
  }

  /** Tensors over the memory of consecutive slots; past and present are the same. */
  private final class Views implements AutoCloseable {
    private final LongBuffer ids;
    private final IntBuffer lengths;
    private final Map<String, OnnxTensor> inputs = new HashMap<>();
    private final Map<String, OnnxTensor> outputs = new HashMap<>();

    Views(int first, int count, long[] idShape, long[] rows) throws OrtException {
      ids = bytes(idShape[0] * idShape[1] * Long.BYTES).asLongBuffer();
      lengths = bytes((long) count * Integer.BYTES).asIntBuffer();
      inputs.put(DecodeGraph.IDS, OnnxTensor.createTensor(environment, ids, idShape));
      inputs.put(
          DecodeGraph.LENGTHS, OnnxTensor.createTensor(environment, lengths, new long[] {count}));
      inputs.put(
          DecodeGraph.ROWS,
          OnnxTensor.createTensor(environment, LongBuffer.wrap(rows), new long[] {rows.length}));
      outputs.put(
          DecodeGraph.LOGPROBS,
          OnnxTensor.createTensor(
              environment,
              logprobs.slice(0, count * config.vocabularySize()),
              new long[] {count, config.vocabularySize()}));
      long[] shape = {count, config.keyValueHeads(), positions, DecodeGraph.cacheHeadSize(config)};
      for (int i = 0; i < caches.size(); i++) {
        OnnxTensor view =
            OnnxTensor.createTensor(
                environment,
                caches.get(i).slice(first * slotFloats(), count * slotFloats()),
                shape);
        int layer = i / 2;
        boolean keys = i % 2 == 0;
        inputs.put(keys ? DecodeGraph.pastKeys(layer) : DecodeGraph.pastValues(layer), view);
        outputs.put(keys ? DecodeGraph.presentKeys(layer) : DecodeGraph.presentValues(layer), view);
      }
    }

    void run() throws OrtException {
      session.run(inputs, outputs).close();
    }

    @Override
    public void close() {
      inputs.values().forEach(OnnxTensor::close);
      outputs.get(DecodeGraph.LOGPROBS).close();
    }
  }

  private static FloatBuffer floats(int count) {
    return bytes((long) count * Float.BYTES).asFloatBuffer();
  }

  private static ByteBuffer bytes(long count) {
    return ByteBuffer.allocateDirect(Math.toIntExact(count)).order(ByteOrder.nativeOrder());
  }
}
