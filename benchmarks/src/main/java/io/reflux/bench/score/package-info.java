/**
 * The scorer's speed and memory: from topic to topic against the bare model, top-k inside the graph
 * against logits copied out, and what scoring a large vocabulary takes. In come a teacher and
 * sizes, out go figures. {@code BareSession} opens ONNX Runtime itself, so that what is compared
 * with does not depend on what is measured.
 */
package io.reflux.bench.score;
