/**
 * The scorer and the trainer killed under load, again and again: in comes a teacher and how often
 * to kill, out goes the count of labels that were lost or doubled, and of weights that are not
 * those of a run without kills, which must be none.
 */
package io.reflux.bench.kills;
