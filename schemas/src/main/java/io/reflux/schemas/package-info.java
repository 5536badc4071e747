/**
 * The contracts between the rooms: Avro records, topics, soft labels, and the few things that every
 * service shares.
 *
 * <p>Knows Kafka, the schema registry and the record formats. Must not know models, training or any
 * service.
 */
package io.reflux.schemas;
