/**
 * Benchmarks: the rooms' public behaviour comes in, figures with their conditions go out. A
 * benchmark reports a ratio of two things measured in the same run wherever it can.
 */
package io.reflux.bench;
