package io.reflux.bench.delta;

import io.reflux.bench.kafka.Configs;
import io.reflux.bench.recipe.LabelKind;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import io.reflux.traffic.Exchange;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import io.reflux.traffic.TrafficStream;
import io.reflux.trainer.LabelledSequence;
import io.reflux.trainer.StudentTraining;
import io.reflux.trainer.pretrain.Shape;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/** The trainer's core on the teacher's labels of generated requests, as the loop would train it. */
final class LiveRun {
  private static final byte[] NO_MASK = {};
  private static final int[] NO_SUPPORT = {};
  private static final int SCORED_TOGETHER = 16;

  private final LanguageModel teacher;
  private final ModelConfig student;
  private final List<LabelledSequence> traffic;

  LiveRun(LanguageModel teacher, String shape, int sequences, long seed) {
    this.teacher = teacher;
    this.student =
        Shape.parse(shape)
            .config(
                teacher.config().vocabularySize(),
                OptionalInt.empty(),
                teacher.config().eosTokenIds());
    this.traffic = labelled(teacher, sequences, seed);
  }

  /** Training that begins. */
  StudentTraining open(Map<String, String> settings, long seed) {
    return open(settings, RandomModel.weights(student, seed), seed);
  }

  /** Training that goes on, with what it learns from taken in. */
  StudentTraining open(Map<String, String> settings, Weights from, long seed) {
    Map<String, String> all = new HashMap<>(settings);
    all.put("minimum-labels", "1");
    all.put("max-reuse", "1000000");
    // Rollouts would need the other services; a step of them moves weights as any other.
    all.put("lambda", "0");
    all.put("validation-steps", "1000000");
    all.put("seed", Long.toString(seed));
    StudentTraining training = new StudentTraining(Configs.trainer(all), student, from);
    traffic.forEach(training::learnFrom);
    return training;
  }

  /** Writes the student as the trainer would publish it. */
  void save(Path directory, Weights weights, DType dtype) {
    Weights shipped =
        dtype == DType.I8 ? Quantiser.of(WeightFormat.INT8).quantise(student, weights) : weights;
    LanguageModel.save(directory, student, shipped, dtype, teacher.directory());
  }

  private static List<LabelledSequence> labelled(LanguageModel teacher, int count, long seed) {
    TrafficStream stream = SupportDeskLanguage.standard().stream(TrafficMix.initial(), seed);
    List<LabelledSequence> labelled = new ArrayList<>();
    int vocabulary = teacher.config().vocabularySize();
    int k = Math.min(vocabulary, LabelKind.WIDE);
    try (Scorer scorer =
        new Scorer(teacher.config(), teacher.weights(), k, RuntimeOptions.DEFAULT)) {
      while (labelled.size() < count) {
        List<ScoreRequest> requests = new ArrayList<>();
        for (int i = 0; i < Math.min(SCORED_TOGETHER, count - labelled.size()); i++) {
          requests.add(request(teacher, stream.next()));
        }
        List<Scores> scores = scorer.score(requests);
        for (int i = 0; i < requests.size(); i++) {
          labelled.add(sequence(labelled.size(), requests.get(i), scores.get(i), vocabulary));
        }
      }
    }
    return labelled;
  }

  private static ScoreRequest request(LanguageModel teacher, Exchange exchange) {
    int[] prompt = teacher.promptIds(exchange.prompt());
    int[] answer = teacher.tokenizer().encode(exchange.response(), false);
    int[] ids = Arrays.copyOf(prompt, prompt.length + answer.length + 1);
    System.arraycopy(answer, 0, ids, prompt.length, answer.length);
    ids[ids.length - 1] = teacher.stopIds().iterator().next();
    return ScoreRequest.of(ids, prompt.length);
  }

  private static LabelledSequence sequence(
      int index, ScoreRequest request, Scores scores, int vocabulary) {
    return new LabelledSequence(
        "request-" + index,
        "all",
        index,
        1,
        request.tokenIds(),
        request.tokenIds().length - scores.rows(),
        vocabulary,
        1,
        NO_MASK,
        LabelKind.encodedTopK(scores, vocabulary),
        NO_SUPPORT,
        Optional.empty());
  }
}
