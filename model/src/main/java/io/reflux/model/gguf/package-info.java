/**
 * GGUF, the file format of llama.cpp. In comes a model with its tokenizer; out goes one file that
 * llama.cpp and its kin open, or such a file comes in and a model goes out. Nothing here knows who
 * asked for it or where the file goes.
 */
package io.reflux.model.gguf;
