package io.reflux.model.compress;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;

/**
 * A smaller model of the same family, with what was done to get it.
 *
 * @param config its shape
 * @param weights of that shape, float32
 * @param mask what survived, in indices of the dense model
 */
public record PrunedModel(
    ModelConfig config, Weights weights, PruningMask mask, PruningReport report) {}
