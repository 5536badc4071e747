/**
 * Soft labels on the wire: their bytes, what survives, and how far a student's gradient from them
 * is from the one that the whole distribution would give. Everything is made up from a seed, whole
 * distributions over a real vocabulary's size, because only then is there something to compare
 * with.
 */
package io.reflux.bench.labels;
