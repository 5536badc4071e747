/**
 * Topics and the one place that opens Kafka clients.
 *
 * <p>In: configuration and Avro records. Out: records on topics of the catalogue, cut into pieces
 * where a record is larger than its topic takes, and put together again when read. Damaged or
 * foreign records come out as {@link io.reflux.schemas.kafka.Undecodable}, never as an exception.
 * Traces are carried in headers. Must not know what the records mean.
 */
package io.reflux.schemas.kafka;
