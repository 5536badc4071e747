package io.reflux.model.runtime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.onnx.DecodeGraph;
import io.reflux.model.onnx.ExchangeGraph;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.LongStream;

/**
 * Runs an exported decoder as it lies in its file, on the processor: to see what others will get
 * from it. For one thread at a time.
 */
public final class ExchangeSession implements AutoCloseable {
  private final ModelConfig config;
  private final OrtSession session;

  /**
   * Opens the file.
   *
   * @param file of an {@link ExchangeGraph} in float32, its data file beside it
   * @param config that it was written from
   * @throws io.reflux.model.ModelException if ONNX Runtime refuses it
   */
  public ExchangeSession(Path file, ModelConfig config) {
    this.config = config;
    this.session = OrtSessions.open(file, RuntimeOptions.DEFAULT);
  }

  /**
   * What the decoder says of a sequence, read in one run.
   *
   * @param tokenIds at least one, at most the model's positions
   * @return [tokens, vocabularySize], row-major
   */
  public float[] logits(int[] tokenIds) {
    OrtEnvironment runtime = OrtSessions.environment();
    int tokens = tokenIds.length;
    long[] ones = new long[tokens];
    Arrays.fill(ones, 1);
    Map<String, OnnxTensor> inputs = new HashMap<>();
    try {
      inputs.put(ExchangeGraph.IDS, longs(runtime, Arrays.stream(tokenIds).asLongStream()));
      inputs.put(ExchangeGraph.MASK, longs(runtime, Arrays.stream(ones)));
      inputs.put(ExchangeGraph.POSITIONS, longs(runtime, LongStream.range(0, tokens)));
      long[] none = {1, config.keyValueHeads(), 0, DecodeGraph.cacheHeadSize(config)};
      for (int layer = 0; layer < config.layers(); layer++) {
        inputs.put(ExchangeGraph.pastKeys(layer), nothing(runtime, none));
        inputs.put(ExchangeGraph.pastValues(layer), nothing(runtime, none));
      }
      try (OrtSession.Result result = session.run(inputs)) {
        OnnxTensor logits = (OnnxTensor) result.get(ExchangeGraph.LOGITS).orElseThrow();
        float[] values = new float[Math.multiplyExact(tokens, config.vocabularySize())];
        logits.getFloatBuffer().get(values);
        return values;
      }
    } catch (OrtException e) {
      throw OrtSessions.failure("decoder: %d tokens failed".formatted(tokens), e);
    } finally {
      inputs.values().forEach(OnnxTensor::close);
    }
  }

  @Override
  public void close() {
    try {
      session.close();
    } catch (OrtException e) {
      throw OrtSessions.failure("session: cannot be closed", e);
    }
  }

  private static OnnxTensor longs(OrtEnvironment runtime, LongStream values) throws OrtException {
    long[] all = values.toArray();
    return OnnxTensor.createTensor(runtime, LongBuffer.wrap(all), new long[] {1, all.length});
  }

  private static OnnxTensor nothing(OrtEnvironment runtime, long[] shape) throws OrtException {
    return OnnxTensor.createTensor(runtime, FloatBuffer.allocate(0), shape);
  }
}
