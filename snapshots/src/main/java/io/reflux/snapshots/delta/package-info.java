/**
 * Stretches of a file as differences from the same stretches of its predecessor.
 *
 * <p>In come bytes and the bytes that they follow on; out comes a block that holds what has changed
 * and from which, with the same predecessor, exactly the same bytes come back. Files of numbers
 * change a little everywhere between two students, so numbers are subtracted where they lie and the
 * remainders are coded by how large their neighbours were.
 *
 * <p>This package knows that files hold numbers of some width, and finds out by trying which. It
 * must not know what they mean, where blocks are kept, or what a snapshot is.
 *
 * <p>Parameters and results are never null unless said so.
 */
package io.reflux.snapshots.delta;
