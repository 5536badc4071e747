/**
 * What {@code reflux compress} does: a model and what is to become of it in, a smaller model and
 * what was measured of it out. It must not know the terminal.
 */
package io.reflux.compress;
