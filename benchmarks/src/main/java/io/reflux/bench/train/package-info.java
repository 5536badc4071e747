/**
 * What a training step takes, in time and memory: in come shapes of models and batches, out go
 * ratios to an ordinary trainer that was measured in the same run, and shares of what the machine
 * can do. Knows neither Kafka nor files.
 */
package io.reflux.bench.train;
