/**
 * Text to token ids and back by tokenizer.json, and the training of a new byte-level tokenizer. In
 * comes a model directory or plain text; out go ids, text, or a tokenizer.json that any Hugging
 * Face library reads. It must not know what the ids mean to a model, nor what a chat is.
 */
package io.reflux.model.tokenizer;
