package io.reflux.devstack.registry;

/**
 * A named type of a schema that is registered under a subject of its own.
 *
 * @param name the type's full name
 */
record SchemaReference(String name, String subject, int version) {}
