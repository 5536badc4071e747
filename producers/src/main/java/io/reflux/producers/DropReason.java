package io.reflux.producers;

import java.util.Locale;

/** Why a request did not go to Kafka. */
public enum DropReason {
  /** The byte budget is used up: Kafka is slower than the traffic, or away. */
  BUFFER_FULL,
  /** Larger than the mirror takes. */
  TOO_LARGE,
  /** Left out by sampling. */
  NOT_SAMPLED,
  /** More came than are wanted a second. */
  RATE_LIMITED,
  /** The mirror is switched off. */
  SWITCHED_OFF,
  /** Redaction ran out of time: what has not been looked at is not sent. */
  NOT_REDACTED,
  /** The mirror is closed, or was before it came to this request. */
  CLOSED,
  /** Kafka or the registry refused it, or did not answer in time. */
  SEND_FAILED;

  /** Whether it is left out because somebody wants it so, and not for want of room or time. */
  boolean isByChoice() {
    return this == NOT_SAMPLED || this == RATE_LIMITED || this == SWITCHED_OFF;
  }

  /** As the meter's tag has it. */
  public String code() {
    return name().toLowerCase(Locale.ROOT);
  }
}
