/**
 * How a student travels: its bytes to a store, then a manifest, then a pointer that a channel's
 * readers follow.
 *
 * <p>In comes a model directory and what is known of it ({@link
 * io.reflux.snapshots.SnapshotPublisher}); out comes the same directory on another machine, every
 * byte verified ({@link io.reflux.snapshots.SnapshotFetcher}), and word of which one to serve
 * ({@link io.reflux.snapshots.SnapshotWatcher}). The order is the protocol: bytes are durable
 * before their manifest is committed, and the manifest is committed before a pointer moves, so a
 * pointer never names what cannot be had. Of a publisher that dies midway only chunks remain that
 * no manifest names.
 *
 * <p>This package must not know what is in the files: neither tensors nor tokens.
 *
 * <p>Parameters and results are never null unless said so.
 */
package io.reflux.snapshots;
