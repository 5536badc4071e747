package io.reflux.bench.recipe;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.ScorerOptions;
import io.reflux.trainer.nn.NamedTargets;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Random;

/**
 * What the student writes itself, scored by the teacher, beside data (on-policy distillation, arXiv
 * 2306.13649). Every rollout is trained on once; its cost is the student's.
 */
final class OnPolicyFeed implements Student.Feed, AutoCloseable {
  /** In the middle of what was found good, 0.8 to 0.9 and a little above. */
  private static final double TEMPERATURE = 0.9;

  private static final int SLOTS = 32;
  private static final int SUPPORT = 32;

  private final Teaching teaching;
  private final List<Line> prompts;
  private final Settings settings;
  private final Student.Feed data;
  private final Random random;
  private final Scorer scorer;
  private final Deque<TrainingSequence> rollouts = new ArrayDeque<>();

  /**
   * How it is done.
   *
   * @param objective on rollouts; their tokens are nobody's answer, and cross-entropy has no part
   * @param batchTokens of a step
   * @param share of them that the student wrote
   * @param refreshPrompts prompts answered by the same weights
   * @param maxTokens longest answer
   */
  record Settings(
      Objective objective, int batchTokens, double share, int refreshPrompts, int maxTokens) {}

  /**
   * @param data what the rest of a step is made of; its batches must have as many tokens as that
   */
  OnPolicyFeed(
      Teaching teaching, List<Line> prompts, Settings settings, Student.Feed data, long seed) {
    this.teaching = teaching;
    this.prompts = new ArrayList<>(prompts);
    this.settings = settings;
    this.data = data;
    this.random = new Random(seed);
    this.scorer =
        new Scorer(
            teaching.teacher().config(),
            teaching.teacher().weights(),
            ScorerOptions.topK(LabelKind.WIDE),
            RuntimeOptions.DEFAULT);
  }

  @Override
  public List<TrainingSequence> next(Student student) {
    List<TrainingSequence> batch = new ArrayList<>();
    if (settings.share() < 1) {
      batch.addAll(data.next(student));
    }
    double tokens = 0;
    while (tokens < settings.share() * settings.batchTokens()) {
      if (rollouts.isEmpty()) {
        write(student);
      }
      TrainingSequence rollout = rollouts.remove();
      tokens += rollout.tokenIds().length;
      batch.add(rollout);
    }
    return batch;
  }

  @Override
  public void close() {
    scorer.close();
  }

  private void write(Student student) {
    Collections.shuffle(prompts, random);
    List<Line> asked = prompts.subList(0, Math.min(settings.refreshPrompts(), prompts.size()));
    List<Generation> answers = generate(student, asked);
    List<Line> written = new ArrayList<>();
    List<ScoreRequest> requests = new ArrayList<>();
    boolean support = !isForward();
    long tokens = 0;
    for (int i = 0; i < asked.size(); i++) {
      Line line = asked.get(i).withAnswer(answers.get(i).tokenIds());
      written.add(line);
      tokens += line.ids().length;
      int[] ids = support ? supportIds(answers.get(i)) : new int[0];
      requests.add(new ScoreRequest(line.ids(), line.promptLength(), ids, support ? SUPPORT : 0));
    }
    student.generated(tokens);
    TrainingSequence[] scored = new TrainingSequence[written.size()];
    int vocabularySize = student.config().vocabularySize();
    Teaching.score(
        scorer,
        requests,
        (i, scores) -> {
          NamedTargets targets =
              support
                  ? LabelKind.ofSupport(
                      scores, requests.get(i).supportIds(), SUPPORT, vocabularySize)
                  : LabelKind.topK(LabelKind.WIDE).targets(scores, vocabularySize);
          scored[i] =
              new TrainingSequence(
                  written.get(i).ids(),
                  written.get(i).promptLength(),
                  targets,
                  null,
                  settings.objective(),
                  null);
        });
    rollouts.addAll(List.of(scored));
  }

  private boolean isForward() {
    return settings.objective().terms().stream()
        .allMatch(term -> term.divergence() instanceof Objective.ForwardKl);
  }

  private List<Generation> generate(Student student, List<Line> asked) {
    ModelConfig config = student.config();
    int longest = asked.stream().mapToInt(Line::promptLength).max().orElseThrow();
    int positions = Math.min(config.maxPositions(), longest + settings.maxTokens());
    List<Generation> answers = new ArrayList<>();
    try (GenerationEngine engine =
        new GenerationEngine(
            config,
            student.weights(),
            new EngineOptions(SLOTS, positions),
            RuntimeOptions.DEFAULT)) {
      List<GenerationHandle> handles = new ArrayList<>();
      for (Line line : asked) {
        handles.add(
            engine.submit(
                new GenerationRequest(
                    line.promptIds(),
                    settings.maxTokens(),
                    new SamplingOptions(TEMPERATURE, 1, 0, random.nextLong()),
                    teaching.teacher().stopIds(),
                    SUPPORT),
                null));
      }
      for (GenerationHandle handle : handles) {
        answers.add(handle.result().join());
      }
    }
    return answers;
  }

  private static int[] supportIds(Generation answer) {
    return answer.tokens().stream().flatMapToInt(token -> Arrays.stream(token.topIds())).toArray();
  }
}
