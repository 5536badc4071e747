package io.reflux.trainer.watch;

import java.time.Instant;
import java.util.Locale;

/**
 * Something that happened at a moment.
 *
 * @param step optimizer steps by then
 * @param text one line for people
 */
public record Happening(Instant at, long step, Kind kind, String text) {
  /** What sort of thing. */
  public enum Kind {
    /** The run began or was resumed. */
    START,
    /** The recipe moved on. */
    STAGE,
    /** The gate let a snapshot pass. */
    PUBLISHED,
    /** The gate held a snapshot back. */
    HELD_BACK,
    /** A snapshot could not be made or published. */
    SNAPSHOT_FAILED,
    /** A step changed nothing. */
    SKIPPED,
    /** Training went back to a good copy. */
    REWOUND,
    /** Anything else worth a line. */
    NOTE;

    /** Its name in files and JSON, such as {@code held_back}. */
    public String key() {
      return name().toLowerCase(Locale.ROOT);
    }

    /** Whether it is the gate's word. */
    public boolean isGate() {
      return this == PUBLISHED || this == HELD_BACK || this == SNAPSHOT_FAILED;
    }
  }

  public Happening {
    text = text.replaceAll("\\s+", " ").strip();
  }
}
