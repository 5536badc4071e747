package io.reflux.model.evaluate;

/**
 * How often a student's likeliest token is the teacher's, on responses of the teacher.
 *
 * @param responses compared
 * @param positions response tokens in all, the stop tokens included
 * @param agreements positions where both like the same token best
 * @param wholeResponses responses where all positions agree: the student alone would have written
 *     just the same
 */
public record Agreement(int responses, long positions, long agreements, int wholeResponses) {
  /** Share of positions, 0 to 1; NaN when there are none. */
  public double rate() {
    return (double) agreements / positions;
  }

  /** Share of responses, 0 to 1; NaN when there are none. */
  public double wholeRate() {
    return (double) wholeResponses / responses;
  }
}
