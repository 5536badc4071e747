/**
 * {@code reflux run}: the whole loop in one process. Options come in; a running loop, a live view
 * and a report go out. It starts services through their public constructors and reads their state
 * from Kafka, as any other observer would.
 */
package io.reflux.run;
