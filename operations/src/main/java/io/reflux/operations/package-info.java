/**
 * How a service without an HTTP server of its own is watched: metrics for Prometheus, health and
 * readiness.
 *
 * <p>In: a service's meters, and what it says of its health. Out: {@code /metrics}, {@code
 * /health/live} and {@code /health/ready} over HTTP. Must not know what any service does.
 */
package io.reflux.operations;
