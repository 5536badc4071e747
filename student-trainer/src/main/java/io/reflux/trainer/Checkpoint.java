package io.reflux.trainer;

import java.util.Map;

/**
 * One atomic unit: what was learned, and which records it includes.
 *
 * @param studentShape the student's configuration, as text; another one cannot resume
 * @param teacherFingerprint whose labels were learned from
 * @param tokenizerFingerprint of the labels
 * @param offsets next offset to read by topic and partition, {@code topic-partition}
 * @param training the rest
 */
record Checkpoint(
    String studentShape,
    String teacherFingerprint,
    String tokenizerFingerprint,
    Map<String, Long> offsets,
    StudentState training) {}
