/**
 * The loop for hours: in come a teacher and a duration, out go curves of the trainer's memory, its
 * lag, loss and agreement, and whether any of them ran away. The trainer is a process of its own,
 * so that what it occupies is its own.
 */
package io.reflux.bench.soak;
