/**
 * Divergence over event time, and the alerts that it raises.
 *
 * <p>In: one {@code Divergence} a compared request. Out: a {@code DriftReport} a segment and
 * window, and a {@code DriftAlert} whenever an alert is raised or cleared. State lives in Kafka
 * Streams stores backed by changelogs, exactly once. Must not know models, nor who looks at the
 * reports.
 */
package io.reflux.monitor.drift;
