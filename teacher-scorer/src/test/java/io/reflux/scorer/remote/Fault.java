package io.reflux.scorer.remote;

/** How a {@link TeacherServer} misbehaves for one call that scores or answers. */
public enum Fault {
  STATUS_400,
  STATUS_500,
  STATUS_503,
  /** 429 that asks for a second's patience. */
  TOO_MANY,
  /** A second late. */
  SLOW,
  /** Never. */
  HANG,
  RESET_MID_BODY,
  /** JSON that ends early, in an answer that is whole by HTTP. */
  TRUNCATED,
  /** Other prompt ids than were sent. */
  WRONG_ECHO,
  /** One log-prob too few at a position. */
  TOO_FEW,
  /** The last position is missing. */
  MISSING_POSITION,
  /** A position has null. */
  NULL_POSITION,
  /** All log-probs of a position are that of one half. */
  SUM_ABOVE_ONE,
  NOT_A_NUMBER,
  POSITIVE,
  /** A token's text where its id should be. */
  TEXT_FOR_ID,
  OUTSIDE_VOCABULARY,
  /** An id twice at a position. */
  REPEATED,
  OTHER_MODEL
}
