package io.reflux.schemas.labels;

/** How a teacher's distributions are cut down to what fits into a record. */
public enum LabelEncoding {
  /** The likeliest ids with their log-probs, and the mass of all others together. */
  TOPK,
  /** Ids drawn from the whole distribution, with how often each came. */
  SAMPLED,
  /** Log-probs of ids that the rollout's own record names. */
  SUPPORT
}
