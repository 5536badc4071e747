/**
 * Takes what must not leave the process out of text: addresses, numbers, keys and names, in time
 * that grows no faster than the text.
 */
package io.reflux.producers.redact;
