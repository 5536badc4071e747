/**
 * Snapshots for fleets that are not ours: files in a folder, and word to whoever reads them.
 *
 * <p>In come the moves of a channel; out goes a directory a version, whole and verified, a symbolic
 * link that always points to one of them, and an HTTP call that asks a runtime to read it. {@link
 * io.reflux.serving.sidecar.SidecarService} is the whole of it.
 *
 * <p>This package must not know what is in the files, nor which runtime reads them: what vLLM and
 * SGLang want to be asked is in {@link io.reflux.serving.sidecar.WebhookStyle} alone.
 *
 * <p>Parameters and results are never null unless said so.
 */
package io.reflux.serving.sidecar;
