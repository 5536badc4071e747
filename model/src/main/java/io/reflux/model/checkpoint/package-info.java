/**
 * Checkpoints: config.json and safetensors files in, a {@link
 * io.reflux.model.checkpoint.ModelConfig} and {@link io.reflux.model.checkpoint.Weights} out, and
 * back again byte for byte. Files are untrusted: every length and offset is checked before it
 * drives an allocation. It must not know how a model is run.
 */
package io.reflux.model.checkpoint;
