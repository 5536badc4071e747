package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.pretrain.Shape;
import java.nio.file.Path;
import java.util.function.Supplier;

/**
 * What training starts from: a model directory, or a new model of a given shape that speaks the
 * teacher's tokens.
 *
 * @param source of the weights; nothing as large is made before it is asked
 */
record StartingStudent(ModelConfig config, Supplier<Weights> source) {

  /** Its weights; of a new one they are made by this call. */
  Weights weights() {
    return source.get();
  }

  static StartingStudent of(TrainerConfig config, LanguageModel teacher) {
    StartingStudent student =
        Shape.looksLikeShape(config.student())
            ? ofShape(Shape.parse(config.student()), teacher, config.seed())
            : ofDirectory(Path.of(config.student()), teacher);
    if (student.config().parameters() > Integer.MAX_VALUE) {
      throw new RefluxException(
          "reflux.train.student: %d weights (expected: up to %d, what training holds in one piece)"
              .formatted(student.config().parameters(), Integer.MAX_VALUE));
    }
    return student;
  }

  private static StartingStudent ofShape(Shape asked, LanguageModel teacher, long seed) {
    // Positions are not learned, so a new student may see as far as its teacher.
    Shape shape =
        new Shape(
            asked.vocabularySize(),
            asked.hiddenSize(),
            asked.layers(),
            asked.heads(),
            asked.keyValueHeads(),
            asked.headSize(),
            asked.intermediateSize(),
            Math.max(asked.maxPositions(), teacher.config().maxPositions()),
            asked.tiedEmbeddings());
    ModelConfig student =
        shape.config(
            teacher.config().vocabularySize(),
            teacher.config().bosTokenId(),
            teacher.stopIds().stream().sorted().toList());
    return new StartingStudent(student, () -> RandomModel.weights(student, seed));
  }

  private static StartingStudent ofDirectory(Path directory, LanguageModel teacher) {
    LanguageModel student = LanguageModel.load(directory);
    if (!student.tokenizerFingerprint().equals(teacher.tokenizerFingerprint())) {
      throw new RefluxException(
          "reflux.train.student: tokenizer %s of %s (expected: the teacher's, %s)"
              .formatted(
                  student.tokenizerFingerprint(), directory, teacher.tokenizerFingerprint()));
    }
    if (student.config().vocabularySize() != teacher.config().vocabularySize()) {
      throw new RefluxException(
          "reflux.train.student: vocab_size %d of %s (expected: the teacher's, %d)"
              .formatted(
                  student.config().vocabularySize(), directory, teacher.config().vocabularySize()));
    }
    return new StartingStudent(student.config(), student::weights);
  }
}
