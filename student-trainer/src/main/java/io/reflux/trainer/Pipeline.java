package io.reflux.trainer;

import io.reflux.trainer.watch.Figure;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Training and the writing of rollouts as one pipeline: prompts, the student's writing, the
 * teacher's scoring, training. Says how much flows, how much waits before each part, and which part
 * is the narrow one, by what the writer of rollouts had to wait for. One thread at a time.
 */
final class Pipeline {
  /** A part that the others wait for. */
  enum Part {
    /** There are no prompts to write rollouts for. */
    PROMPTS,
    /** Prompts wait for the student to write. */
    STUDENT_WRITING,
    /** Rollouts wait for the teacher, or training for labels. */
    TEACHER_SCORING,
    /** Labels and scored rollouts wait to be trained on. */
    TRAINING;

    /** As a person writes it. */
    String text() {
      return name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }
  }

  /**
   * What went through since the start.
   *
   * @param softLabels label records of requests taken in
   * @param prompts offered to be written on
   * @param written rollouts sent to be scored
   * @param scored rollouts that came back
   * @param trained rollouts in the sequences of steps, repeats included
   */
  record Counts(long softLabels, long prompts, long written, long scored, long trained) {}

  /**
   * What waits.
   *
   * @param prompts to be written on
   * @param writing rollouts being written
   * @param scoring rollouts sent and not yet back
   * @param scored label records of rollouts in Kafka
   * @param unread label records of requests in Kafka
   */
  record Waiting(int prompts, int writing, int scoring, long scored, long unread) {}

  /**
   * Nanoseconds since the start.
   *
   * @param writer what the writer of rollouts waited for; empty while none were written
   * @param trainingIdle the training thread had nothing to train on
   * @param all in all
   */
  record Times(Map<Part, Long> writer, long trainingIdle, long all) {}

  /** How it stands. */
  record Sample(Counts counts, Waiting waiting, Times times) {}

  /**
   * Between two looks.
   *
   * @param figures rates and what waits
   * @param narrow the part that the others waited for; empty before anything flowed
   */
  record View(Map<Figure, Double> figures, Optional<Part> narrow) {}

  private static final double IDLE = 0.5;

  private Sample last;

  /**
   * @param start what is looked at from
   */
  Pipeline(Sample start) {
    this.last = start;
  }

  /** Looks again. */
  View look(Sample now) {
    double seconds = Math.max(1e-9, (now.times().all() - last.times().all()) / 1e9);
    Counts to = now.counts();
    Counts from = last.counts();
    Map<Figure, Double> figures = new EnumMap<>(Figure.class);
    figures.put(Figure.LABELS_PER_SECOND, (to.softLabels() - from.softLabels()) / seconds);
    figures.put(Figure.PROMPTS_PER_SECOND, (to.prompts() - from.prompts()) / seconds);
    figures.put(Figure.ROLLOUTS_PER_SECOND, (to.written() - from.written()) / seconds);
    figures.put(Figure.ROLLOUT_LABELS_PER_SECOND, (to.scored() - from.scored()) / seconds);
    figures.put(Figure.ROLLOUTS_TRAINED_PER_SECOND, (to.trained() - from.trained()) / seconds);
    Waiting waiting = now.waiting();
    figures.put(Figure.PROMPTS_WAITING, (double) waiting.prompts());
    figures.put(Figure.ROLLOUTS_WRITING, (double) waiting.writing());
    figures.put(Figure.ROLLOUTS_SCORING, (double) waiting.scoring());
    figures.put(Figure.ROLLOUT_LABELS_LAG, (double) waiting.scored());
    figures.put(Figure.LABELS_LAG, (double) waiting.unread());
    Optional<Part> narrow =
        to.softLabels() == 0 ? Optional.empty() : Optional.of(narrow(now, last.times()));
    last = now;
    return new View(figures, narrow);
  }

  private static Part narrow(Sample now, Times before) {
    Waiting waiting = now.waiting();
    Times times = now.times();
    Optional<Part> writer = longest(times.writer(), before.writer());
    boolean idle =
        times.trainingIdle() - before.trainingIdle() >= IDLE * (times.all() - before.all());
    if (idle) {
      // Whether prompts or the teacher are too slow cannot be seen from here, but with rollouts
      // under way it is the teacher.
      return waiting.scoring() > 0 ? Part.TEACHER_SCORING : writer.orElse(Part.TEACHER_SCORING);
    }
    // Rollouts that are back, and not taken in, do not wait for the teacher.
    boolean isBack = 2 * waiting.scored() >= waiting.scoring();
    return writer.filter(part -> part != Part.TEACHER_SCORING || !isBack).orElse(Part.TRAINING);
  }

  /** What was waited for longest since then, if anything was. */
  private static Optional<Part> longest(Map<Part, Long> now, Map<Part, Long> before) {
    Part longest = null;
    long most = 0;
    for (Map.Entry<Part, Long> entry : now.entrySet()) {
      long time = entry.getValue() - before.getOrDefault(entry.getKey(), 0L);
      if (time > most) {
        most = time;
        longest = entry.getKey();
      }
    }
    return Optional.ofNullable(longest);
  }
}
