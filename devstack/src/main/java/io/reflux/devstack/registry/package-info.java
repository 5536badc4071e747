/**
 * A schema registry that speaks Confluent's REST protocol and keeps its schemas in Kafka.
 *
 * <p>In: HTTP requests of any Confluent-compatible client, and the compacted topic {@code _schemas}
 * in the format that Confluent's own registry writes, so that one can take over from the other.
 * Out: the same. Only Avro is spoken; subjects live in the default context. It knows nothing of
 * Reflux's own schemas.
 *
 * <p>{@code RestApi} turns HTTP into calls of {@code Registry}, which decides; {@code SchemaLog}
 * writes to Kafka and reads back; {@code RegistryState} is what was read.
 */
package io.reflux.devstack.registry;
