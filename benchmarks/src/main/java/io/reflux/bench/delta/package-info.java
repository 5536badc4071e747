/**
 * How many bytes the next snapshot of a student in training takes, beside the one before.
 *
 * <p>Parameters and results are never null unless said so.
 */
package io.reflux.bench.delta;
