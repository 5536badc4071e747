/**
 * Making models smaller. In come a model's shape, its weights and text to calibrate on; out go
 * weights that are quantised or pruned, with the shape that belongs to them. Nothing here knows how
 * they are stored or sent, or when a student is compressed.
 */
package io.reflux.model.compress;
