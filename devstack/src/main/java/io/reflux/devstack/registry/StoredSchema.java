package io.reflux.devstack.registry;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * A version of a subject.
 *
 * @param deleted soft-deleted: hidden, still resolvable by id
 * @param stored the record's value as it was read, with whatever fields another registry put there
 */
record StoredSchema(
    String subject, int version, int id, SchemaContent content, boolean deleted, JsonNode stored) {}
