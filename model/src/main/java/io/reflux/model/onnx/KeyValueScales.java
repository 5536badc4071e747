package io.reflux.model.onnx;

/**
 * What the 8-bit keys and values of a graph are multiples of.
 *
 * @param keys [layers][keyValueHeads · cacheHeadSize], above 0
 * @param values [layers][keyValueHeads · cacheHeadSize], above 0
 */
@SuppressWarnings("ArrayRecordComponent")
public record KeyValueScales(float[][] keys, float[][] values) {}
