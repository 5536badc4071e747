/**
 * Whether a snapshot may replace the published one. In come what both came to on each held-out
 * sequence; out go a verdict in one line and the figures behind it. Knows neither models nor Kafka.
 * Nothing here is null.
 */
package io.reflux.trainer.gate;
