package io.reflux.model.runtime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.DecodeGraph;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * A decode graph with key-value memory for a fixed number of slots. Every tensor is a view of
 * memory that stays in place, so a step neither allocates nor copies a cache. For one thread at a
 * time.
 */
final class DecodeSession implements AutoCloseable {
  private final ModelConfig config;
  private final int slots;
  private final int positions;
  private final int headSize;
  private final OpenSession open;
  private final Deque<OnnxTensor> tensors = new ArrayDeque<>();
  private final FloatBuffer[] caches;
  private final LongBuffer ids;
  private final IntBuffer lengths;
  private final FloatBuffer logprobs;
  private final Binding[] steps;
  private final Binding[] prefills;

  /**
   * Opens the graph.
   *
   * @param chunk most tokens of one prefill
   */
  DecodeSession(
      ModelConfig config,
      Weights weights,
      EngineOptions engine,
      int chunk,
      RuntimeOptions options) {
    this.config = config;
    this.slots = engine.slots();
    this.positions = engine.maxPositions();
    this.headSize = DecodeGraph.cacheHeadSize(config);
    this.steps = new Binding[slots + 1];
    this.prefills = new Binding[slots];
    long cacheFloats = (long) slots * config.keyValueHeads() * positions * headSize;
    this.caches = new FloatBuffer[2 * config.layers()];
    for (int i = 0; i < caches.length; i++) {
      caches[i] = cache(cacheFloats);
    }
    this.ids = direct((long) Math.max(slots, chunk) * Long.BYTES).asLongBuffer();
    this.lengths = direct((long) slots * Integer.BYTES).asIntBuffer();
    this.logprobs = direct((long) slots * config.vocabularySize() * Float.BYTES).asFloatBuffer();
    this.open =
        OrtSessions.open(
            weights, graph -> DecodeGraph.build(config, weights, positions, graph), options);
  }

  /** What one shape of run reads and writes. */
  private record Binding(Map<String, OnnxTensor> inputs, Map<String, OnnxTensor> outputs) {}

  /**
   * Appends tokens to a slot; the last one's successor is then row 0 of {@link #logprobs}.
   *
   * @param tokens ids; those in [from, to) are appended, the ones before are there already
   */
  void prefill(int slot, int[] tokens, int from, int to) throws OrtException {
    for (int i = from; i < to; i++) {
      ids.put(i - from, tokens[i]);
    }
    lengths.put(0, to);
    int count = to - from;
    if (prefills[slot] == null) {
      prefills[slot] = bind(slot, 1);
    }
    OrtEnvironment runtime = OrtSessions.environment();
    try (OnnxTensor chunk =
            OnnxTensor.createTensor(runtime, ids.slice(0, count), new long[] {1, count});
        OnnxTensor row =
            OnnxTensor.createTensor(
                runtime, LongBuffer.wrap(new long[] {count - 1L}), new long[] {1})) {
      Map<String, OnnxTensor> inputs = new HashMap<>(prefills[slot].inputs());
      inputs.put(DecodeGraph.IDS, chunk);
      inputs.put(DecodeGraph.ROWS, row);
      run(inputs, prefills[slot].outputs());
    }
  }

  /** Sets what {@link #step} appends to a slot: a token, after so many others. */
  void feed(int slot, int token, int before) {
    ids.put(slot, token);
    lengths.put(slot, before + 1);
  }

  /** Appends one token to each of the first slots, all of them fed before. */
  void step(int count) throws OrtException {
    if (steps[count] == null) {
      Binding binding = bind(0, count);
      long[] each = new long[count];
      for (int i = 0; i < count; i++) {
        each[i] = i;
      }
      OrtEnvironment runtime = OrtSessions.environment();
      binding
          .inputs()
          .put(
              DecodeGraph.IDS,
              keep(OnnxTensor.createTensor(runtime, ids.slice(0, count), new long[] {count, 1})));
      binding
          .inputs()
          .put(
              DecodeGraph.ROWS,
              keep(OnnxTensor.createTensor(runtime, LongBuffer.wrap(each), new long[] {count})));
      steps[count] = binding;
    }
    run(steps[count].inputs(), steps[count].outputs());
  }

  /** Copies one row of the last run, [vocabularySize]: a slot's after a step. */
  void logprobs(int row, float[] into) {
    logprobs.get(row * config.vocabularySize(), into, 0, config.vocabularySize());
  }

  /** Moves the first positions of a slot to another. */
  void move(int fromSlot, int toSlot, int count) {
    int heads = config.keyValueHeads();
    int stride = positions * headSize;
    for (FloatBuffer cache : caches) {
      for (int head = 0; head < heads; head++) {
        cache.put(
            (toSlot * heads + head) * stride,
            cache,
            (fromSlot * heads + head) * stride,
            count * headSize);
      }
    }
  }

  @Override
  public void close() {
    while (!tensors.isEmpty()) {
      tensors.pop().close();
    }
    open.close();
  }

  private void run(Map<String, OnnxTensor> inputs, Map<String, OnnxTensor> outputs)
      throws OrtException {
    // The outputs are pinned: closing the result leaves them open.
    open.session().run(inputs, outputs).close();
  }

  /** Views of consecutive slots; ids and rows are for the caller to add. */
  private Binding bind(int firstSlot, int count) throws OrtException {
    OrtEnvironment runtime = OrtSessions.environment();
    Map<String, OnnxTensor> inputs = new HashMap<>();
    Map<String, OnnxTensor> outputs = new HashMap<>();
    inputs.put(
        DecodeGraph.LENGTHS,
        keep(OnnxTensor.createTensor(runtime, lengths.slice(0, count), new long[] {count})));
    outputs.put(
        DecodeGraph.LOGPROBS,
        keep(
            OnnxTensor.createTensor(
                runtime,
                logprobs.slice(0, count * config.vocabularySize()),
                new long[] {count, config.vocabularySize()})));
    int slotFloats = config.keyValueHeads() * positions * headSize;
    long[] shape = {count, config.keyValueHeads(), positions, headSize};
    for (int i = 0; i < caches.length; i++) {
      OnnxTensor view =
          keep(
              OnnxTensor.createTensor(
                  runtime, caches[i].slice(firstSlot * slotFloats, count * slotFloats), shape));
      int layer = i / 2;
      boolean keys = i % 2 == 0;
      inputs.put(keys ? DecodeGraph.pastKeys(layer) : DecodeGraph.pastValues(layer), view);
      outputs.put(keys ? DecodeGraph.presentKeys(layer) : DecodeGraph.presentValues(layer), view);
    }
    return new Binding(inputs, outputs);
  }

  private OnnxTensor keep(OnnxTensor tensor) {
    tensors.push(tensor);
    return tensor;
  }

  private FloatBuffer cache(long floats) {
    String advice =
        "key-value cache: %d slots x %d positions take %d MiB a layer (expected: "
            .formatted(slots, positions, (2 * floats * Float.BYTES) >> 20);
    if (floats > (Integer.MAX_VALUE - 64) / Float.BYTES) {
      throw new ModelException(advice + "under 4096; fewer slots or positions)");
    }
    try {
      return direct(floats * Float.BYTES).asFloatBuffer();
    } catch (OutOfMemoryError e) {
      throw new ModelException(
          advice + "to fit the direct memory, see -XX:MaxDirectMemorySize)", e);
    }
  }

  private static ByteBuffer direct(long bytes) {
    return ByteBuffer.allocateDirect(Math.toIntExact(bytes)).order(ByteOrder.nativeOrder());
  }
}
