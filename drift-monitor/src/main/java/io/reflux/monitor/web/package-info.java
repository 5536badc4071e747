/**
 * The monitor as a service: its configuration, its parts put together, and the local page.
 *
 * <p>In: {@link io.reflux.monitor.view.LoopState}. Out: HTTP on one port: a page that works without
 * any other server, the state as JSON and as events, Prometheus text, health. Read-only. Must not
 * know Kafka, beyond handing its clients on.
 */
package io.reflux.monitor.web;
