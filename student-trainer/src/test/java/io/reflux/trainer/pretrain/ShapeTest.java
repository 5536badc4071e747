package io.reflux.trainer.pretrain;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ShapeTest {
  @Test
  void readsEveryPart() {
    Shape shape =
        Shape.parse("vocab=1024, hidden=256,layers=4,heads=8,kv-heads=4,ffn=704,context=512");
    ModelConfig config = shape.config(1024, OptionalInt.empty(), List.of(1));
    assertThat(config.vocabularySize()).isEqualTo(1024);
    assertThat(config.headSize()).isEqualTo(32);
    assertThat(config.keyValueHeads()).isEqualTo(4);
    assertThat(config.intermediateSize()).isEqualTo(704);
    assertThat(config.maxPositions()).isEqualTo(512);
    assertThat(config.tiedEmbeddings()).isTrue();
    assertThat(Shape.parse(shape.toString())).isEqualTo(shape);
  }

  @Test
  void hasDefaults() {
    Shape shape = Shape.parse("hidden=96,layers=2,heads=4");
    assertThat(shape).isEqualTo(new Shape(OptionalInt.empty(), 96, 2, 4, 4, 24, 256, 1024, true));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "hidden=96,layers=2 | heads=",
        "hidden=96,layers=2,heads=5 | hidden: 96 (expected: a multiple of heads, 5)",
        "hidden=96,layers=2,heads=4,kv-heads=3 | kv-heads: 3 (expected: a divisor of heads, 4)",
        "hidden=96,layers=two,heads=4 | layers: two (expected: a whole number",
        "hidden=96,layers=0,heads=4 | layers: 0 (expected: a whole number",
        "hidden=12,layers=1,heads=4 | head-dim: 3 (expected: even",
        "hidden=96,width=2 | shape: width=2 (expected: NAME=VALUE",
        "hidden=96,hidden=2,layers=1,heads=1 | hidden once",
        "hidden=96,layers=2,heads=4,tied=yes | tied: yes (expected: true or false)",
        "'' | expected: NAME=VALUE",
      })
  void refusesInOneLine(String text, String message) {
    assertThatThrownBy(() -> Shape.parse(text))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
  }

  @Test
  void refusesAnotherVocabulary() {
    Shape shape = Shape.parse("vocab=500,hidden=96,layers=2,heads=4");
    assertThatThrownBy(() -> shape.config(1024, OptionalInt.empty(), List.of(1)))
        .hasMessage("vocab: 500 (expected: the tokenizer's, 1024)");
  }
}
