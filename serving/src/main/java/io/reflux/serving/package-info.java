/**
 * Serves the newest snapshot of a channel, and changes to the next one without a request noticing.
 *
 * <p>In come pointers to snapshots and, over HTTP, prompts; out goes text that names the version it
 * came from. {@link io.reflux.serving.SnapshotSubscriber} is the part that other fleets can use: it
 * fetches, verifies, loads, warms and flips, and knows no HTTP. {@link
 * io.reflux.serving.ServerService} puts the OpenAI-compatible server of {@code openai} in front of
 * it.
 *
 * <p>This package must not know how a student was trained, nor what a graph looks like inside.
 *
 * <p>Parameters and results are never null unless said so.
 */
package io.reflux.serving;
