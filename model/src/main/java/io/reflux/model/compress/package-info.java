/**
 * Making models smaller. In come weights; out go weights of the same model, quantised. Nothing here
 * knows how they are stored, run or sent.
 */
package io.reflux.model.compress;
