package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.trainer.pretrain.Shape;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import org.apache.kafka.clients.producer.Producer;

/** Label records of a teacher that is easy to learn from, in the tokens of one on disk. */
final class LabelMaker {
  private final LanguageModel teacher;
  private final BigramTeacher bigrams;

  private LabelMaker(LanguageModel teacher) {
    this.teacher = teacher;
    int vocabulary = teacher.config().vocabularySize();
    // A narrow language inside the tokenizer's: quick to learn.
    this.bigrams = new BigramTeacher(vocabulary - 40, vocabulary, 1);
  }

  /** Writes a teacher's directory. */
  static LabelMaker make(Path directory) {
    BpeVocabulary vocabulary =
        BpeTrainer.train(List.of("red green blue").iterator(), 300, List.of("<|end|>"));
    vocabulary.write(directory, BpeVocabulary.Roles.endingWith("<|end|>"));
    ModelConfig config =
        Shape.parse("hidden=16,layers=1,heads=2,context=64")
            .config(vocabulary.size(), OptionalInt.empty(), List.of(0));
    LanguageModel.save(directory, config, RandomModel.weights(config, 3), DType.F32, directory);
    return new LabelMaker(LanguageModel.load(directory));
  }

  LanguageModel teacher() {
    return teacher;
  }

  /** Of a request, answered by the teacher. */
  SoftLabels label(String id, Random random) {
    int[] prompt = bigrams.prompt(random, 4 + random.nextInt(4));
    int[] ids = bigrams.answered(prompt, 4 + random.nextInt(5), random);
    return label(id, ids, prompt.length).build();
  }

  /** Of what a student wrote, on the ids that it named. */
  SoftLabels scored(Rollout rollout) {
    int[] ids = rollout.getTokenIds().stream().mapToInt(Integer::intValue).toArray();
    int[] support = rollout.getSupportIds().stream().mapToInt(Integer::intValue).toArray();
    SoftLabels.Builder label = label(rollout.getRequestId(), ids, rollout.getPromptLength());
    return label
        .setOrigin(Origin.ROLLOUT)
        .setRolloutId(rollout.getRolloutId())
        .setStudentVersion(rollout.getStudentVersion())
        .setSampledLogprobs(rollout.getSampledLogprobs())
        .setSamplingTemperature(rollout.getTemperature())
        .setSupportSize(rollout.getSupportSize())
        .setSupportIds(rollout.getSupportIds())
        .setLabels(
            ByteBuffer.wrap(
                SoftLabelCodec.encode(
                    bigrams.support(
                        ids, rollout.getPromptLength(), support, rollout.getSupportSize()),
                    teacher.config().vocabularySize())))
        .build();
  }

  /** Writes labels of so many requests, and of a rollout with every third. */
  void publish(KafkaClients clients, int first, int count) {
    try (Producer<String, byte[]> producer = clients.producer("teacher")) {
      TopicWriter<SoftLabels> labels = clients.writer(Topics.SOFT_LABELS, producer);
      TopicWriter<SoftLabels> rollouts = clients.writer(Topics.ROLLOUT_LABELS, producer);
      Random random = new Random(first);
      for (int i = first; i < first + count; i++) {
        String id = "r" + i;
        var unused = labels.send(id, label(id, random));
        if (i % 3 == 0) {
          var unusedToo = rollouts.send(id, scored(rollout(id, 0, 8, random)));
        }
      }
      producer.flush();
    }
  }

  /** A rollout as a student might have written it. */
  Rollout rollout(String id, long studentVersion, int supportSize, Random random) {
    int[] prompt = bigrams.prompt(random, 4 + random.nextInt(4));
    int[] ids = bigrams.answered(prompt, 4 + random.nextInt(5), random);
    int rows = ids.length - prompt.length;
    Integer[] support = new Integer[rows * supportSize];
    for (int i = 0; i < support.length; i++) {
      support[i] = teacher.config().vocabularySize() - 1 - i % supportSize;
    }
    Float[] logprobs = new Float[rows];
    Arrays.fill(logprobs, -2f);
    return Rollout.newBuilder()
        .setRolloutId(id)
        .setRequestId("of-" + id)
        .setRequestedAt(Instant.EPOCH)
        .setCreatedAt(Instant.EPOCH)
        .setStudentVersion(studentVersion)
        .setTokenizerFingerprint(teacher.tokenizerFingerprint())
        .setChatTemplateFingerprint(teacher.chatTemplateFingerprint())
        .setTokenIds(Arrays.stream(ids).boxed().toList())
        .setPromptLength(prompt.length)
        .setSampledLogprobs(List.of(logprobs))
        .setTemperature(0.9f)
        .setSupportSize(supportSize)
        .setSupportIds(List.of(support))
        .build();
  }

  private SoftLabels.Builder label(String id, int[] ids, int promptLength) {
    int vocabulary = teacher.config().vocabularySize();
    byte[] encoded = SoftLabelCodec.encode(bigrams.labels(ids, promptLength), vocabulary);
    return SoftLabels.newBuilder()
        .setRequestId(id)
        .setOrigin(Origin.TEACHER)
        .setRequestedAt(Instant.EPOCH)
        .setScoredAt(Instant.EPOCH)
        .setTeacherFingerprint(teacher.fingerprint())
        .setTokenizerFingerprint(teacher.tokenizerFingerprint())
        .setChatTemplateFingerprint(teacher.chatTemplateFingerprint())
        .setVocabularySize(vocabulary)
        .setTokenIds(Arrays.stream(ids).boxed().toList())
        .setPromptLength(promptLength)
        .setLabels(ByteBuffer.wrap(encoded));
  }
}
