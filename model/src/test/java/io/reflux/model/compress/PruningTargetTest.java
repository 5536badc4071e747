package io.reflux.model.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PruningTargetTest {
  private static final ModelConfig CONFIG =
      RandomModel.config(Architecture.LLAMA, 1).resized(12, 704, 12, 4);

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "neurons:0.75 | 12 | 512 | 4", // 528 lies in the middle of 512 and 544
        "neurons:0.8 | 12 | 576 | 4",
        "neurons:0.001 | 12 | 32 | 4",
        "neurons:0.999 | 12 | 704 | 4",
        "kv:0.5 | 12 | 704 | 2",
        "kv:0.1 | 12 | 704 | 1",
        "layers:0.75 | 9 | 704 | 4",
        "Layers:0.5, KV:0.75, neurons:0.5 | 6 | 352 | 3",
        "neurons:1 | 12 | 704 | 4"
      })
  void sharesBecomeCountsThatKernelsLike(String text, int layers, int neurons, int heads) {
    PrunedShape shape = PruningTarget.parse(text).shape(CONFIG);
    assertThat(shape).isEqualTo(new PrunedShape(layers, neurons, heads));
    assertThat(shape.cut(CONFIG).heads()).isEqualTo(3 * heads);
  }

  @Test
  void widthsThatAreNoMultipleStayUnlessTheyAreCut() {
    ModelConfig odd = CONFIG.resized(1, 70, 3, 1);
    assertThat(PruningTarget.parse("neurons:1").shape(odd).intermediateSize()).isEqualTo(70);
    assertThat(PruningTarget.parse("neurons:0.9").shape(odd).intermediateSize()).isEqualTo(64);
    ModelConfig narrow = CONFIG.resized(1, 20, 3, 1);
    assertThat(PruningTarget.parse("neurons:0.5").shape(narrow).intermediateSize()).isEqualTo(20);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "neurons",
        "neurons:",
        "neurons:0",
        "neurons:1.01",
        "neurons:NaN",
        "heads:0.5",
        "kv:0.5,kv:0.5",
        "kv:0.5,",
        "neurons:-1"
      })
  void whatIsNoTargetIsRefusedInOneLine(String text) {
    assertThatThrownBy(() -> PruningTarget.parse(text))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("(expected: ");
  }

  @Test
  void targetsAreWrittenAsTheyAreRead() {
    PruningTarget target = PruningTarget.parse("kv:0.5,neurons:0.75");
    assertThat(target).hasToString("neurons:0.75,kv:0.5");
    assertThat(PruningTarget.parse(target.toString())).isEqualTo(target);
  }

  @Test
  void aShapeThatIsLargerThanTheModelIsRefused() {
    assertThatThrownBy(() -> new PrunedShape(12, 705, 4).cut(CONFIG))
        .hasMessage("pruned shape: neurons: 705 (expected: at most 704, the model's)");
    assertThatThrownBy(() -> new PrunedShape(1, 0, 1)).isInstanceOf(ModelException.class);
  }
}
