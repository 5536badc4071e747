/**
 * Training of Llama-family models on libtorch: a configuration, weights and batches of token ids
 * with targets go in; losses, gradients and new weights come out. The mathematics is TorchScript
 * that this package writes, one call a batch, so that no autograd graph ever outlives a native
 * call. It must not know Kafka, or where targets come from, and no file but the scratch file that
 * an optimizer's state may be offloaded to. Nothing here is null unless it says so.
 */
package io.reflux.trainer.nn;
