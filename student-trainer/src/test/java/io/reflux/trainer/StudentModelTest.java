package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.trainer.nn.Adaptation;
import io.reflux.trainer.nn.Adaptation.Lora;
import io.reflux.trainer.nn.Adaptation.Lora.Target;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.Offload;
import io.reflux.trainer.nn.Precision;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Map;
import org.junit.jupiter.api.Test;

class StudentModelTest {
  @Test
  void theDefaultsTrainEverythingHere() {
    ModelOptions options = StudentModel.options(config(Map.of()));
    assertThat(options).isEqualTo(ModelOptions.DEFAULT.withPrecision(Precision.AUTO));
  }

  @Test
  void everyKeyTells() {
    ModelOptions options =
        StudentModel.options(
            config(
                Map.of(
                    "threads", "3",
                    "precision", "bf16",
                    "checkpoint-every", "2",
                    "offload", "disk",
                    "data-dir", "somewhere",
                    "lora.rank", "4",
                    "lora.alpha", "8",
                    "lora.targets", "q,v",
                    "seed", "5")));
    assertThat(options.threads()).isEqualTo(3);
    assertThat(options.precision()).isEqualTo(Precision.BF16);
    assertThat(options.checkpointEvery()).isEqualTo(2);
    assertThat(options.offload()).isEqualTo(Offload.disk(Path.of("somewhere/offload")));
    assertThat(options.adaptation()).isEqualTo(new Lora(4, 8, EnumSet.of(Target.Q, Target.V), 5));
    Map<String, String> frozen = Map.of("frozen-layers", "1", "frozen-embeddings", "false");
    assertThat(StudentModel.options(config(frozen)).adaptation())
        .isEqualTo(new Adaptation.Frozen(1, false));
  }

  @Test
  void aMistakeIsOneLine() {
    assertThatThrownBy(() -> StudentModel.options(config(Map.of("offload", "moon"))))
        .isInstanceOf(ModelException.class)
        .hasMessage("offload: moon (expected: none, host or disk)");
  }

  private static TrainerConfig config(Map<String, String> settings) {
    return Settings.of(settings);
  }
}
