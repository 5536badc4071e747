/**
 * Soft labels: a teacher's distributions over next tokens, in few bytes.
 *
 * <p>In: blocks of ids, log-probs and masses in plain arrays. Out: the bytes of {@code
 * SoftLabels.labels}, described in docs/SOFT_LABELS.md. Must not know Kafka, Avro or any model.
 */
package io.reflux.schemas.labels;
