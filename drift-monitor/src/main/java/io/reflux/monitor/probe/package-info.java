/**
 * The comparison of the served student with its teacher, request by request.
 *
 * <p>In: soft labels of mirrored requests, and the snapshot that the channel serves. Out: a {@code
 * Divergence} a request, exactly once. The student is the shipped, compressed artefact, fetched and
 * verified as a server does it, never the trainer's own weights. Must not know windows or alerts.
 */
package io.reflux.monitor.probe;
