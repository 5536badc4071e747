package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.trainer.nn.NamedTargets;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.TrainingSequence;
import io.reflux.trainer.pretrain.Shape;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LabelIntakeTest {
  private static final int PROMPT = 4;

  @TempDir private Path directory;
  private LanguageModel teacher;
  private LabelIntake intake;

  @BeforeEach
  void makeTeacher() {
    BpeVocabulary vocabulary = BpeTrainer.train(List.of("a b").iterator(), 300, List.of("<|e|>"));
    vocabulary.write(directory, BpeVocabulary.Roles.endingWith("<|e|>"));
    ModelConfig config =
        Shape.parse("hidden=8,layers=1,heads=2,context=32")
            .config(vocabulary.size(), OptionalInt.empty(), List.of(0));
    LanguageModel.save(directory, config, RandomModel.weights(config, 1), DType.F32, directory);
    teacher = LanguageModel.load(directory);
    intake = new LabelIntake(teacher, 32);
  }

  @Test
  void acceptsItsOwn() {
    SoftLabels labels = labels(builder -> builder.setSamplingProbability(0.25)).build();
    assertThat(intake.refusal(labels)).isEmpty();
    LabelledSequence sequence = intake.accept(labels);
    assertThat(sequence.isRollout()).isFalse();
    TrainingSequence training = sequence.toTraining(Objective.forwardKl(0));
    assertThat(training.firstPosition()).isEqualTo(PROMPT);
    assertThat(((NamedTargets) training.targets()).k()).isEqualTo(BigramTeacher.K);
    assertThat(training.rowWeights()).containsOnly(4f).hasSize(10);
  }

  @Test
  void leavesMaskedRowsOut() {
    SoftLabels labels =
        labels(builder -> builder.setLossMask(ByteBuffer.wrap(new byte[] {(byte) 0xFE, 0x01})))
            .build();
    assertThat(intake.refusal(labels)).isEmpty();
    assertThat(intake.accept(labels).toTraining(Objective.forwardKl(0)).rowWeights())
        .containsExactly(0, 1, 1, 1, 1, 1, 1, 1, 1, 0);
  }

  @Test
  void oneUnlikelyRequestDoesNotRuleABatch() {
    SoftLabels labels = labels(builder -> builder.setSamplingProbability(1e-6)).build();
    assertThat(intake.accept(labels).toTraining(Objective.forwardKl(0)).rowWeights())
        .containsOnly(10f);
  }

  @Test
  void keepsTheStepThatWroteARollout() {
    SoftLabels labels =
        labels(builder -> builder.setOrigin(Origin.ROLLOUT).setStudentVersion(77L)).build();
    assertThat(intake.refusal(labels)).isEmpty();
    assertThat(intake.accept(labels).written().orElseThrow().studentStep()).isEqualTo(77);
  }

  @Test
  void refusesByName() {
    assertRefused("teacher_mismatch", builder -> builder.setTeacherFingerprint("other"));
    assertRefused("tokenizer_mismatch", builder -> builder.setTokenizerFingerprint("other"));
    assertRefused("chat_template_mismatch", builder -> builder.setChatTemplateFingerprint("x"));
    assertRefused("vocabulary_mismatch", builder -> builder.setVocabularySize(7));
    assertRefused("bad_temperature", builder -> builder.setTemperature(0));
    assertRefused("bad_temperature", builder -> builder.setTemperature(Float.NaN));
    assertRefused("bad_temperature", builder -> builder.setTemperature(101));
    assertRefused("student_version_missing", builder -> builder.setOrigin(Origin.ROLLOUT));
    assertRefused("bad_prompt_length", builder -> builder.setPromptLength(0));
    assertRefused("bad_prompt_length", builder -> builder.setPromptLength(15));
    assertRefused("bad_labels", builder -> builder.setPromptLength(PROMPT + 1));
    assertRefused("bad_labels", builder -> builder.setLabels(ByteBuffer.wrap(new byte[] {9})));
    assertRefused("bad_token_id", builder -> builder.getTokenIds().set(0, 100_000));
    assertRefused("bad_token_id", builder -> builder.getTokenIds().set(0, -1));
    assertRefused("bad_sampling_probability", builder -> builder.setSamplingProbability(0));
    assertRefused("bad_loss_mask", builder -> builder.setLossMask(ByteBuffer.wrap(new byte[1])));
    assertRefused("support_missing", builder -> support(builder).setSupportIds(List.of()));
    assertRefused("bad_labels", builder -> support(builder).getSupportIds().set(3, 7));
    assertRefused("bad_labels", builder -> support(builder).getSupportIds().add(7));
    assertRefused("bad_support", builder -> support(builder, 5, 5));
    assertRefused("bad_support", builder -> support(builder, 5, 100_000));
    assertRefused("bad_sampled_logprobs", builder -> sampled(builder, 9, -1, 1));
    assertRefused("bad_sampled_logprobs", builder -> sampled(builder, 10, Float.NaN, 1));
    assertRefused("bad_sampled_logprobs", builder -> sampled(builder, 10, 0.5f, 1));
    assertRefused("bad_sampling_temperature", builder -> sampled(builder, 10, -1, 0));
    assertRefused(
        "entropy_unknown",
        builder -> {
          float[] entropy = new float[10];
          entropy[9] = Float.NaN;
          builder.setLabels(encoded(SampledBlock.of(10, 1, new int[10], new float[10], entropy)));
        });
    assertRefused("too_long", builder -> builder.getTokenIds().addAll(Collections.nCopies(30, 20)));
  }

  @Test
  void takesWhatARolloutSaysOfItself() {
    SoftLabels labels =
        labels(
                builder ->
                    sampled(support(builder), 10, -1.5f, 0.9f)
                        .setOrigin(Origin.ROLLOUT)
                        .setStudentVersion(77L)
                        .setTemperature(2))
            .build();
    assertThat(intake.refusal(labels)).isEmpty();
    LabelledSequence sequence = intake.accept(labels);
    assertThat(sequence.supportIds()).hasSize(20).startsWith(5, 6, 5, 6);
    assertThat(sequence.labelTemperature()).isEqualTo(2);
    assertThat(sequence.written().orElseThrow().studentStep()).isEqualTo(77);
    assertThat(sequence.written().orElseThrow().logprobs()).hasSize(10).containsOnly(-1.5f);
    assertThat(sequence.written().orElseThrow().temperature()).isCloseTo(0.9, within(1e-6));
  }

  private SoftLabels.Builder support(SoftLabels.Builder builder) {
    return support(builder, 5, 6);
  }

  /** Labels of two ids a row, in place of the others. */
  private SoftLabels.Builder support(SoftLabels.Builder builder, int first, int second) {
    List<Integer> ids = new ArrayList<>();
    float[] logprobs = new float[20];
    float[] tail = new float[10];
    Arrays.fill(logprobs, (float) Math.log(0.25));
    Arrays.fill(tail, (float) Math.log(0.5));
    for (int row = 0; row < 10; row++) {
      ids.add(first);
      ids.add(second);
    }
    int checksum = SupportBlock.checksum(ids.stream().mapToInt(Integer::intValue).toArray());
    return builder
        .setSupportSize(2)
        .setSupportIds(ids)
        .setLabels(
            encoded(
                new SupportBlock(10, 2, checksum, logprobs, tail, new float[10], new float[10])));
  }

  private static SoftLabels.Builder sampled(
      SoftLabels.Builder builder, int count, float logprob, float temperature) {
    return builder
        .setSampledLogprobs(Collections.nCopies(count, logprob))
        .setSamplingTemperature(temperature);
  }

  @Test
  void takesDrawsAsTheirShares() {
    int[] drawn = new int[20];
    drawn[1] = 5;
    SoftLabels labels =
        labels(
                builder ->
                    builder.setLabels(
                        encoded(SampledBlock.of(10, 2, drawn, new float[10], new float[10]))))
            .build();
    assertThat(intake.refusal(labels)).isEmpty();
    NamedTargets targets =
        (NamedTargets) intake.accept(labels).toTraining(Objective.forwardKl(0)).targets();
    assertThat(targets.k()).isEqualTo(2);
    assertThat(targets.ids()).startsWith(0, 5, 0, 0);
    float half = (float) Math.log(0.5);
    assertThat(targets.logprobs()).startsWith(half, half, 0, Float.NEGATIVE_INFINITY);
    assertThat(targets.tailLogMass()).containsOnly(Float.NEGATIVE_INFINITY);
    assertThat(targets.klOffsets()).startsWith((float) Math.log(2), 0);
  }

  @Test
  void takesTopKWhoseTailAndEntropyAreUnknown() {
    float[] unknown = new float[10];
    Arrays.fill(unknown, Float.NaN);
    SoftLabels labels =
        labels(
                builder ->
                    builder.setLabels(
                        encoded(
                            new TopKBlock(
                                10,
                                1,
                                new int[10],
                                new float[10],
                                unknown,
                                new float[10],
                                unknown))))
            .build();
    assertThat(intake.refusal(labels)).isEmpty();
  }

  @Test
  void aForeignTokenizerIsNamedBeforeItsTeacher() {
    assertRefused(
        "tokenizer_mismatch",
        builder -> builder.setTokenizerFingerprint("other").setTeacherFingerprint("other"));
  }

  private ByteBuffer encoded(LabelBlock block) {
    return ByteBuffer.wrap(SoftLabelCodec.encode(block, teacher.config().vocabularySize()));
  }

  @Test
  void namesWhatWasFoundAndWhatWasExpected() {
    SoftLabels labels = labels(builder -> builder.setTeacherFingerprint("abc")).build();
    assertThat(intake.refusal(labels).orElseThrow().message())
        .isEqualTo("teacher: abc (expected: " + teacher.fingerprint() + ")");
  }

  private void assertRefused(String reason, Consumer<SoftLabels.Builder> change) {
    assertThat(intake.refusal(labels(change).build()))
        .hasValueSatisfying(
            refusal -> {
              assertThat(refusal.reason()).isEqualTo(reason);
              assertThat(refusal.message()).isNotBlank().doesNotContain("\n");
            });
  }

  private SoftLabels.Builder labels(Consumer<SoftLabels.Builder> change) {
    int vocabulary = teacher.config().vocabularySize();
    BigramTeacher bigrams = new BigramTeacher(10, vocabulary, 1);
    Random random = new Random(1);
    int[] ids = bigrams.answered(bigrams.prompt(random, PROMPT), 10, random);
    SoftLabels.Builder builder =
        SoftLabels.newBuilder()
            .setRequestId("q")
            .setOrigin(Origin.TEACHER)
            .setRequestedAt(Instant.now())
            .setScoredAt(Instant.now())
            .setTeacherFingerprint(teacher.fingerprint())
            .setTokenizerFingerprint(teacher.tokenizerFingerprint())
            .setChatTemplateFingerprint(teacher.chatTemplateFingerprint())
            .setVocabularySize(vocabulary)
            .setTokenIds(new ArrayList<>(Arrays.stream(ids).boxed().toList()))
            .setPromptLength(PROMPT)
            .setLabels(
                ByteBuffer.wrap(SoftLabelCodec.encode(bigrams.labels(ids, PROMPT), vocabulary)));
    change.accept(builder);
    return builder;
  }
}
