package io.reflux.trainer;

/**
 * One atomic unit: what was learned, and which records it includes.
 *
 * @param studentShape the student's configuration, as text; another one cannot resume
 * @param teacherFingerprint whose labels were learned from
 * @param tokenizerFingerprint of the labels
 * @param intake which records it includes
 * @param training the rest
 */
record Checkpoint(
    String studentShape,
    String teacherFingerprint,
    String tokenizerFingerprint,
    IntakeState intake,
    StudentState training) {}
