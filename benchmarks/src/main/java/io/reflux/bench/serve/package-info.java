/**
 * Serving against llama.cpp on the same weights, and the server against the bare session.
 *
 * <p>In come a teacher's tokenizer and a size; out go ratios of speeds measured in turns. What is
 * served is only asked through public interfaces: the engine, HTTP, and llama.cpp's own.
 */
package io.reflux.bench.serve;
