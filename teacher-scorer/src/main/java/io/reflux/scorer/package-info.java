/**
 * The teacher at work: mirrored requests and rollouts come in from Kafka, soft labels go out.
 *
 * <p>{@link io.reflux.scorer.ScorerService} is the whole of it. Inside, {@code Teacher} turns
 * requests into sequences and sequences into labels and knows no Kafka; {@code Intake} and {@code
 * ScoringLoop} move records and know no model. Every record that comes in leaves exactly one
 * behind, a label or a dead letter, in the transaction that commits its offset.
 */
package io.reflux.scorer;
