/**
 * Folders of a model for runtimes that are not ours: a graph for ONNX Runtime and what ONNX Runtime
 * GenAI wants beside it, and a plain checkpoint of Hugging Face's. In comes a model as it ships,
 * its matrices in whatever few bits; out go files, the same for the same model.
 */
package io.reflux.model.export;
