/**
 * Running models with ONNX Runtime. In come weights, sequences and prompts; out go scores and
 * continuations. Native memory is owned by what opened it, and freed by its close. Nothing here
 * knows Kafka, text or files of models.
 */
package io.reflux.model.runtime;
