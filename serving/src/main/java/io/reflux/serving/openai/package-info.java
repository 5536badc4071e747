/**
 * OpenAI's HTTP interface in front of a {@link io.reflux.serving.SnapshotSubscriber}.
 *
 * <p>In come completions and chat completions as the official clients send them; out go answers as
 * they expect them, whole or as server-sent events, each naming its snapshot's version. What is not
 * supported and would change an answer is refused by name; fields that are unknown are ignored.
 *
 * <p>This package must not know where snapshots come from, or how tokens are made.
 */
package io.reflux.serving.openai;
