package io.reflux.model.runtime;

import ai.onnxruntime.OrtException;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.DecodeGraph;
import io.reflux.model.onnx.KeyValueScales;
import io.reflux.model.runtime.Generation.Token;
import java.util.SplittableRandom;

/**
 * How large a model's keys and values become, on what the model itself writes: sequences that begin
 * with any token and go on as it likes. No data is needed, and the same weights give the same
 * scales.
 */
final class KeyValueRanges {
  private static final int SEQUENCES = 8;
  private static final int POSITIONS = 64;
  private static final long SEED = 0x5EED;

  /** Beyond the largest that was seen; what is larger still is cut off. */
  private static final float MARGIN = 1.25f;

  private static final float LARGEST_NUMBER = 127;

  /** Of a channel that is always 0. */
  private static final float SMALLEST_SCALE = 1e-8f;

  private KeyValueRanges() {}

  static KeyValueScales scales(
      ModelConfig config, Weights weights, int maxPositions, RuntimeOptions runtime) {
    if (runtime.device().kind() != Device.Kind.CPU) {
      throw new ModelException(
          "key-value format: int8 on %s (expected: full; the processor alone has it)"
              .formatted(runtime.device()));
    }
    int positions = Math.min(POSITIONS, maxPositions);
    int headSize = DecodeGraph.cacheHeadSize(config);
    float[][][] largest = new float[config.layers()][2][config.keyValueHeads() * headSize];
    EngineOptions room = new EngineOptions(SEQUENCES, positions);
    RuntimeOptions full = new RuntimeOptions(runtime.threads(), runtime.device(), Precision.F32);
    try (DecodeSession session = new DecodeSession(config, weights, room, 1, full)) {
      write(session, config.vocabularySize(), positions);
      for (int slot = 0; slot < SEQUENCES; slot++) {
        session.magnitudes(slot, positions, largest);
      }
    } catch (OrtException e) {
      throw OrtSessions.failure("key-value scales", e);
    }
    float[][] keys = new float[config.layers()][];
    float[][] values = new float[config.layers()][];
    for (int layer = 0; layer < config.layers(); layer++) {
      keys[layer] = scales(overAngles(largest[layer][0], headSize));
      values[layer] = scales(largest[layer][1]);
    }
    return new KeyValueScales(keys, values);
  }

  private static void write(DecodeSession session, int vocabulary, int positions)
      throws OrtException {
    SplittableRandom random = new SplittableRandom(SEED);
    Sampler[] samplers = new Sampler[SEQUENCES];
    int[] next = new int[SEQUENCES];
    for (int slot = 0; slot < SEQUENCES; slot++) {
      samplers[slot] = new Sampler(new SamplingOptions(1, 1, 0, random.nextLong()), 0);
      next[slot] = random.nextInt(vocabulary);
    }
    float[] logprobs = new float[vocabulary];
    double[] scratch = new double[vocabulary];
    for (int position = 0; position < positions; position++) {
      for (int slot = 0; slot < SEQUENCES; slot++) {
        session.feed(slot, next[slot], position);
      }
      session.step(SEQUENCES);
      for (int slot = 0; slot < SEQUENCES; slot++) {
        session.logprobs(slot, logprobs);
        Token drawn = samplers[slot].draw(logprobs, scratch);
        next[slot] = drawn.id();
      }
    }
  }

  /** Rotation turns a key's channels i and i + size / 2 into one another at other positions. */
  private static float[] overAngles(float[] largest, int headSize) {
    float[] turned = new float[largest.length];
    for (int channel = 0; channel < largest.length; channel++) {
      int inHead = channel % headSize;
      int half = headSize / 2;
      int other = channel + (inHead < half ? half : -half);
      turned[channel] = Math.max(largest[channel], largest[other]);
    }
    return turned;
  }

  private static float[] scales(float[] largest) {
    float[] scales = new float[largest.length];
    for (int channel = 0; channel < scales.length; channel++) {
      scales[channel] = Math.max(SMALLEST_SCALE, MARGIN * largest[channel] / LARGEST_NUMBER);
    }
    return scales;
  }
}
