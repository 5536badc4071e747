package io.reflux.producers.redact;

/**
 * A stretch of a text that is taken out.
 *
 * @param rule what found it, finer than the kind
 * @param start first UTF-16 unit, of the text as it was
 * @param end after the last
 */
public record Finding(RedactionKind kind, String rule, int start, int end) {}
