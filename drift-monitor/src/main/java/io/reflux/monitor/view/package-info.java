/**
 * What the whole loop does right now, folded from its own records.
 *
 * <p>In: statuses, training progress, snapshot manifests and pointers, drift reports and alerts,
 * and what the brokers say of lag and size. Out: {@link io.reflux.monitor.view.LoopState},
 * immutable, for anything that shows it. Must not know how it is shown, nor run any model.
 */
package io.reflux.monitor.view;
