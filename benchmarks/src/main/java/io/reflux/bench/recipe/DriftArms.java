package io.reflux.bench.recipe;

import io.reflux.bench.kafka.Configs;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.ScorerOptions;
import io.reflux.trainer.LabelledSequence;
import io.reflux.trainer.StudentTraining;
import io.reflux.trainer.TrainerConfig;
import io.reflux.trainer.nn.Losses;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;

/**
 * A student kept in training while traffic drifts, against one that is trained anew from time to
 * time on all that came, with as many steps in all; and what is forgotten of traffic that no longer
 * comes. It is the trainer's own core that trains.
 *
 * <p>Intents are in groups. In each phase most requests are of its group and the rest of the one
 * before; a group is gone after two phases.
 */
final class DriftArms {
  static final String CONTINUAL = "continual";
  static final String NO_REPLAY = "continual, without replay";
  static final String PERIODIC = "periodic, from nothing";
  static final String PERIODIC_ON = "periodic, from the last";

  private static final List<String> ARMS = List.of(CONTINUAL, NO_REPLAY, PERIODIC, PERIODIC_ON);

  /** Of a phase's requests; the rest is of the group before. */
  private static final double CURRENT = 0.8;

  /** Phases between trainings of the periodic student. */
  private static final int PERIOD = 2;

  private static final int CHECKS_A_PHASE = 4;
  private static final byte[] NO_MASK = {};
  private static final int[] NO_SUPPORT = {};

  private final RecipeSize size;
  private final ModelConfig student;
  private final double learningRate;
  private final List<List<LabelledSequence>> groups = new ArrayList<>();
  private final List<Examination> examinations = new ArrayList<>();

  DriftArms(
      RecipeSize size,
      Teaching teaching,
      ModelConfig student,
      double learningRate,
      List<Line> lines,
      List<Line> testLines,
      int maxTokens) {
    this.size = size;
    this.student = student;
    this.learningRate = learningRate;
    List<LabelledSequence> labelled = labelled(teaching, lines);
    for (int group = 0; group < size.drift().phases(); group++) {
      List<LabelledSequence> own = new ArrayList<>();
      for (int i = 0; i < lines.size(); i++) {
        if (groupOf(lines.get(i)) == group) {
          own.add(labelled.get(i));
        }
      }
      groups.add(own);
      int tested = group;
      examinations.add(
          Examination.ofAnswers(
              teaching,
              testLines.stream()
                  .filter(line -> groupOf(line) == tested)
                  .limit(size.drift().testLines())
                  .toList(),
              maxTokens));
    }
  }

  static List<String> arms() {
    return ARMS;
  }

  /** Number of times at which students are measured. */
  static int checks(RecipeSize size) {
    return size.drift().phases() * CHECKS_A_PHASE;
  }

  /** The first time at which every student has been trained. */
  static int firstCompared() {
    return PERIOD * CHECKS_A_PHASE;
  }

  /** Key of a divergence in the course of the run. */
  static String klAt(int check) {
    return String.format(Locale.ROOT, "kl_at_%03d", check);
  }

  Map<String, Double> run(String arm, long seed) {
    Course course = new Course();
    Weights last =
        switch (arm) {
          case CONTINUAL -> continual(true, seed, course);
          case NO_REPLAY -> continual(false, seed, course);
          case PERIODIC -> periodic(false, seed, course);
          default -> periodic(true, seed, course);
        };
    return course.figures(last);
  }

  private Weights continual(boolean replay, long seed, Course course) {
    RecipeSize.Drift drift = size.drift();
    Arrivals arrivals = new Arrivals(seed);
    int kept = replay ? drift.replay() : 1;
    int recent = replay ? drift.recent() : size.batchTokens() / 16;
    try (StudentTraining training =
        new StudentTraining(config(kept, recent, seed), student, fresh(seed))) {
      for (int phase = 0; phase < drift.phases(); phase++) {
        for (int step = 1; step <= drift.steps(); step++) {
          arrivals.next(phase, step).forEach(training::learnFrom);
          if (training.canStep()) {
            training.step();
          }
          if (step * CHECKS_A_PHASE % drift.steps() < CHECKS_A_PHASE) {
            course.check(phase, training.export());
          }
        }
        course.phaseEnds(phase, training.export());
      }
      return training.export();
    }
  }

  private Weights periodic(boolean goOn, long seed, Course course) {
    RecipeSize.Drift drift = size.drift();
    Arrivals arrivals = new Arrivals(seed);
    List<LabelledSequence> all = new ArrayList<>();
    Weights served = fresh(seed);
    for (int phase = 0; phase < drift.phases(); phase++) {
      for (int step = 1; step <= drift.steps(); step++) {
        all.addAll(arrivals.next(phase, step));
        if (step * CHECKS_A_PHASE % drift.steps() < CHECKS_A_PHASE) {
          course.check(phase, served);
        }
      }
      if ((phase + 1) % PERIOD == 0 || phase == drift.phases() - 1) {
        int phases = phase % PERIOD + 1;
        served = trained(all, phases * drift.steps(), goOn ? served : fresh(seed), seed + phase);
      }
      course.phaseEnds(phase, served);
    }
    return served;
  }

  private Weights trained(List<LabelledSequence> all, int steps, Weights from, long seed) {
    List<LabelledSequence> shuffled = new ArrayList<>(all);
    Collections.shuffle(shuffled, new Random(seed));
    try (StudentTraining training =
        new StudentTraining(config(all.size(), all.size(), seed), student, from)) {
      shuffled.forEach(training::learnFrom);
      for (int step = 0; step < steps; step++) {
        training.step();
      }
      return training.export();
    }
  }

  private Weights fresh(long seed) {
    return RandomModel.weights(student, seed);
  }

  private TrainerConfig config(int replay, int recent, long seed) {
    return Configs.trainer(
        Map.ofEntries(
            Map.entry("learning-rate", Double.toString(learningRate)),
            Map.entry("warm-up-steps", Integer.toString(Math.max(1, size.drift().steps() / 4))),
            Map.entry("batch-tokens", Integer.toString(size.batchTokens())),
            Map.entry("replay-size", Integer.toString(replay)),
            Map.entry("recent-size", Integer.toString(recent)),
            Map.entry("minimum-labels", "1"),
            Map.entry("max-reuse", "1000000"),
            Map.entry("lambda", "0"),
            Map.entry("validation-steps", "1000000"),
            Map.entry("seed", Long.toString(seed))));
  }

  private int groupOf(Line line) {
    return Math.floorMod(line.intent().hashCode() * 0x9E3779B9 >>> 8, size.drift().phases());
  }

  private List<LabelledSequence> labelled(Teaching teaching, List<Line> lines) {
    int vocabularySize = student.vocabularySize();
    ScorerOptions wanted = ScorerOptions.topK(Math.min(vocabularySize, LabelKind.WIDE));
    List<ScoreRequest> requests =
        lines.stream().map(line -> ScoreRequest.of(line.ids(), line.promptLength())).toList();
    LabelledSequence[] labelled = new LabelledSequence[lines.size()];
    teaching.score(
        requests,
        wanted,
        (i, scores) ->
            labelled[i] =
                new LabelledSequence(
                    "line-" + i,
                    "group-" + groupOf(lines.get(i)),
                    i,
                    1,
                    lines.get(i).ids(),
                    lines.get(i).promptLength(),
                    vocabularySize,
                    1,
                    NO_MASK,
                    LabelKind.encodedTopK(scores, vocabularySize),
                    NO_SUPPORT,
                    Optional.empty()));
    return List.of(labelled);
  }

  /** Requests as they come in, the same for every arm of a seed. */
  private final class Arrivals {
    private final Random random;
    private final List<List<LabelledSequence>> waiting = new ArrayList<>();

    Arrivals(long seed) {
      random = new Random(seed);
      groups.forEach(group -> waiting.add(new ArrayList<>()));
    }

    List<LabelledSequence> next(int phase, int step) {
      RecipeSize.Drift drift = size.drift();
      int from = drift.lines() * (step - 1) / drift.steps();
      int to = drift.lines() * step / drift.steps();
      List<LabelledSequence> come = new ArrayList<>();
      for (int i = from; i < to; i++) {
        boolean current = phase == 0 || random.nextDouble() < CURRENT;
        come.add(draw(current ? phase : phase - 1));
      }
      return come;
    }

    private LabelledSequence draw(int group) {
      List<LabelledSequence> left = waiting.get(group);
      if (left.isEmpty()) {
        left.addAll(groups.get(group));
        Collections.shuffle(left, random);
      }
      return left.remove(left.size() - 1);
    }
  }

  /** What was measured on the way. */
  private final class Course {
    private final List<Double> kls = new ArrayList<>();
    private final List<Double> agreements = new ArrayList<>();
    private Losses firstWhenLearnt = Losses.NONE;

    /** On the traffic of the moment. */
    void check(int phase, Weights weights) {
      Losses now = examinations.get(phase).losses(student, weights);
      Losses before = phase == 0 ? now : examinations.get(phase - 1).losses(student, weights);
      kls.add(CURRENT * now.meanKl() + (1 - CURRENT) * before.meanKl());
      agreements.add(CURRENT * now.agreement() + (1 - CURRENT) * before.agreement());
    }

    void phaseEnds(int phase, Weights weights) {
      // The first group is last seen in the second phase.
      if (phase == 1) {
        firstWhenLearnt = examinations.get(0).losses(student, weights);
      }
    }

    Map<String, Double> figures(Weights last) {
      Losses first = examinations.get(0).losses(student, last);
      Losses all = Losses.NONE;
      for (Examination examination : examinations) {
        all = all.plus(examination.losses(student, last));
      }
      int from = firstCompared();
      Map<String, Double> figures = new LinkedHashMap<>();
      figures.put("kl_served", mean(kls.subList(from, kls.size())));
      figures.put("agreement_served", mean(agreements.subList(from, agreements.size())));
      figures.put("kl_first_group_when_learnt", firstWhenLearnt.meanKl());
      figures.put("kl_first_group_at_end", first.meanKl());
      figures.put("kl_forgotten", first.meanKl() - firstWhenLearnt.meanKl());
      figures.put("agreement_forgotten", firstWhenLearnt.agreement() - first.agreement());
      figures.put("kl_all_groups_at_end", all.meanKl());
      figures.put("agreement_all_groups_at_end", all.agreement());
      for (int i = 0; i < kls.size(); i++) {
        figures.put(klAt(i), kls.get(i));
      }
      return figures;
    }

    private static double mean(List<Double> values) {
      return values.stream().mapToDouble(Double::doubleValue).average().orElse(Double.NaN);
    }
  }
}
