package io.reflux.trainer;

/**
 * How far a partition was taken in.
 *
 * @param next offset after the last record that was
 * @param readFrom where to read on: before {@code next} where a record in pieces begins before and
 *     ends behind it, after it where only marks of transactions lie between
 */
record Position(long next, long readFrom) {}
