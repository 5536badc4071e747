/**
 * ONNX graphs written from weights. In come a configuration and {@link
 * io.reflux.model.checkpoint.Weights}; out go graphs for ONNX Runtime, byte for byte the same for
 * the same input. Nothing here runs a graph, and nothing here knows tokens as text.
 */
package io.reflux.model.onnx;
