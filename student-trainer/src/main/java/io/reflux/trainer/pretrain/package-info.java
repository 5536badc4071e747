/**
 * Makes a small language model from nothing but prompt/response lines: a byte-level BPE tokenizer,
 * a chat template and weights, in a Hugging Face directory. It is how a teacher is made without any
 * other tool. It must not know Kafka. Nothing here is null unless it says so.
 */
package io.reflux.trainer.pretrain;
