/**
 * A generated support-desk language: what the bundled teacher is trained on and what the generated
 * traffic asks.
 *
 * <p>In: a seed and a mix of intents. Out: an endless, reproducible stream of prompts with the one
 * right answer to each, and held-out prompts that no stream contains. It knows nothing of Kafka, of
 * tokens, or of who reads the text.
 */
package io.reflux.traffic;
