/**
 * Swaps under load: in come students that take turns, out go what requests, token gaps and memory
 * of a server made of it. The server is a process of its own, started as the command starts it, so
 * that what it occupies is its own; broker, publisher and clients share another.
 */
package io.reflux.bench.swap;
