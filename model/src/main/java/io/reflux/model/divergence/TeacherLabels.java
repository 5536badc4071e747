package io.reflux.model.divergence;

/** What a teacher's labels of one sequence say, as far as a student is held against them. */
public sealed interface TeacherLabels permits NamedIds, Draws {
  /** Positions. */
  int rows();

  /** Ids a row to score the student at. */
  int supportSize();

  /** [rows, supportSize], ids to score the student at. */
  int[] supportIds();
}
