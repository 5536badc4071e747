/**
 * What a person looks at while a student trains. In: a report every few seconds, and what happens
 * at a moment, such as a snapshot that was held back. Out: the run's files (CSV, TensorBoard), the
 * page with its JSON, and a bounded history for whoever asks. It must not know how a step is made,
 * nor Kafka; and nothing that fails here stops training. Nothing here is null unless it says so.
 */
package io.reflux.trainer.watch;
