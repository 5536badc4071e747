/**
 * Prompts whose answers are known beforehand: what the trainer's machine made of them, so that
 * another can see that its runtime gives the same numbers.
 *
 * <p>In come token ids and an engine; out goes a small file that travels with the model, and what
 * another engine made of it. Must not know where prompts are from, nor what becomes of a model that
 * answers otherwise.
 *
 * <p>Parameters and results are never null unless said so.
 */
package io.reflux.model.golden;
