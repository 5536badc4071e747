package io.reflux.run;

import java.time.Duration;
import java.util.List;

/**
 * What the run itself knows beside the topics.
 *
 * @param elapsed since traffic began
 * @param duration of the whole run, or null without end
 * @param phase one line for people: what happens now
 * @param agreements of each served snapshot, oldest first
 * @param answered requests that the served student answered
 * @param failed requests that it did not
 */
record RunState(
    Duration elapsed,
    Duration duration,
    String phase,
    String pageUrl,
    String mirrorUrl,
    String serverUrl,
    List<Agreement> agreements,
    long answered,
    long failed) {
  RunState {
    agreements = List.copyOf(agreements);
  }

  /**
   * Agreement of one served snapshot with the teacher on held-out prompts.
   *
   * @param atSeconds since traffic began
   * @param agreement share of response positions with the same likeliest token
   */
  record Agreement(long version, double atSeconds, double agreement) {}
}
