/**
 * How far a student is from its teacher. In come a teacher's published labels and a student's
 * scores; out go sums that add up over sequences. Nothing here runs a model or knows topics.
 */
package io.reflux.model.divergence;
