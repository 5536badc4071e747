/**
 * The scorer killed under load, again and again: in comes a teacher and how often to kill, out goes
 * the count of labels that were lost or doubled, which must be none.
 */
package io.reflux.bench.kills;
