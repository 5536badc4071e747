package io.reflux.model.checkpoint;

/** A model's shape and weights. */
public record Checkpoint(ModelConfig config, Weights weights) {}
