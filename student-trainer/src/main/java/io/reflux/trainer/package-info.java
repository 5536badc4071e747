/**
 * The trainer service: the teacher's soft labels come in from Kafka; a student that grows like its
 * teacher, rollouts for the teacher to score, snapshots and progress go out. All training state is
 * in checkpoints that also hold the input offsets, so that nothing counts twice or not at all. It
 * must not know how a label was made, nor who serves a snapshot. Nothing here is null unless it
 * says so.
 */
package io.reflux.trainer;
