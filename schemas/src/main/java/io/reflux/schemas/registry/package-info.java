/**
 * The schema registry and the bytes of a record's value.
 *
 * <p>In: Avro records and their classes. Out: values in Confluent's wire format (magic byte 0,
 * 4-byte big-endian schema id, Avro binary) and records resolved from the writer's schema to ours.
 * Speaks Confluent's REST protocol, so that any registry of that protocol serves. Must not know
 * topics' purposes or Kafka clients.
 */
package io.reflux.schemas.registry;
