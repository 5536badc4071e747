/**
 * What pruning costs once a student has been distilled again, and what it gives: in come text and a
 * teacher, out goes a table of students that were cut in several ways, each held against one that
 * was not and had the same training. It must not know how weights are chosen.
 */
package io.reflux.bench.prune;
