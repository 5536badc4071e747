/**
 * The forward pass in plain double precision: a configuration, weights and token ids in, logits
 * out. It is slow, obvious, and what every faster implementation is tested against. It must not
 * know any of those implementations.
 */
package io.reflux.model.reference;
