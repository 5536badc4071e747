/**
 * The teacher at work: mirrored requests and rollouts come in from Kafka, soft labels go out.
 *
 * <p>{@link io.reflux.scorer.ScorerService} is the whole of it. Inside, {@code Teacher} turns
 * requests into sequences and has a {@code TeacherBackend} answer and label them, on devices of
 * this process or on a server; none of these knows Kafka. {@code ScoringLoop} owns all work that is
 * under way, on one thread: {@code Intake} takes records in and keeps their order, {@code Batcher}
 * puts sequences of like length together, {@code Labelling} and {@code Answering} keep the teacher
 * busy, {@code LabelTransactions} writes what is finished. What other threads find out comes back
 * through a {@code Mailbox}. Every record that comes in leaves exactly one behind, a label or a
 * dead letter, in the transaction that commits its offset.
 */
package io.reflux.scorer;
