package io.reflux.model.runtime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.DecodeGraph;
import io.reflux.model.onnx.KeyValueScales;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * A decode graph with key-value memory for a fixed number of slots. Every tensor is a view of
 * memory that stays in place, so a step on the processor neither allocates nor copies a cache. ONNX
 * Runtime's Java interface gives no hold on a GPU's memory: there every step carries the caches
 * over and back. For one thread at a time.
 */
final class DecodeSession implements AutoCloseable {
  private final ModelConfig config;
  private final int slots;
  private final OpenSession open;
  private final Deque<OnnxTensor> tensors = new ArrayDeque<>();
  private final DirectMemory memory = new DirectMemory();
  private final KeyValueCache[] caches;
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
    KeyValueScales scales =
        engine.keyValues() == KeyValueFormat.INT8
            ? KeyValueRanges.scales(config, weights, engine.maxPositions(), options)
            : null;
    this.config = config;
    this.slots = engine.slots();
    int positions = engine.maxPositions();
    this.steps = new Binding[slots + 1];
    this.prefills = new Binding[slots];
    this.caches = new KeyValueCache[2 * config.layers()];
    OpenSession opened = null;
    try {
      for (int i = 0; i < caches.length; i++) {
        caches[i] =
            new KeyValueCache(
                memory,
                scales == null ? options.elementType(weights) : DType.I8,
                slots,
                config.keyValueHeads(),
                positions,
                DecodeGraph.cacheHeadSize(config));
      }
      this.ids = direct((long) Math.max(slots, chunk) * Long.BYTES).asLongBuffer();
      this.lengths = direct((long) slots * Integer.BYTES).asIntBuffer();
      this.logprobs = direct((long) slots * config.vocabularySize() * Float.BYTES).asFloatBuffer();
      opened =
          OrtSessions.open(
              weights,
              graph -> DecodeGraph.build(config, weights, positions, scales, graph),
              options);
    } finally {
      if (opened == null) {
        memory.close();
      }
    }
    this.open = opened;
  }

  /** Where what belongs to this session is kept; given back with it. */
  DirectMemory memory() {
    return memory;
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

  /** Keys and values of one position of one slot. */
  int positionBytes() {
    int bytes = 0;
    for (KeyValueCache cache : caches) {
      bytes += cache.positionBytes();
    }
    return bytes;
  }

  /** Copies keys and values of positions [from, to) of a slot to the beginning of the memory. */
  void save(int slot, int from, int to, ByteBuffer into) {
    into.clear();
    for (KeyValueCache cache : caches) {
      cache.save(slot, from, to, into);
    }
  }

  /** Takes saved positions into a slot. */
  void load(int slot, int from, int to, ByteBuffer saved) {
    saved.clear();
    for (KeyValueCache cache : caches) {
      cache.load(slot, from, to, saved);
    }
  }

  /** Raises the largest magnitudes of float32 keys and values, [layers][2][channels]. */
  void magnitudes(int slot, int positions, float[][][] largest) {
    for (int i = 0; i < caches.length; i++) {
      caches[i].magnitudes(slot, positions, largest[i / 2][i % 2]);
    }
  }

  /** Copies one row of the last run, [vocabularySize]: a slot's after a step. */
  void logprobs(int row, float[] into) {
    logprobs.get(row * config.vocabularySize(), into, 0, config.vocabularySize());
  }

  /** Moves the first positions of a slot to another. */
  void move(int fromSlot, int toSlot, int count) {
    for (KeyValueCache cache : caches) {
      cache.move(fromSlot, toSlot, count);
    }
  }

  @Override
  public void close() {
    while (!tensors.isEmpty()) {
      tensors.pop().close();
    }
    open.close();
    memory.close();
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
    for (int i = 0; i < caches.length; i++) {
      OnnxTensor view = keep(caches[i].view(firstSlot, count));
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

  private ByteBuffer direct(long bytes) {
    return memory.allocate(Math.toIntExact(bytes));
  }
}
