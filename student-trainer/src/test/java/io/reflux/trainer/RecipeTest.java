package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.schemas.avro.Stage;
import java.util.HashMap;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

class RecipeTest {
  private static final Offset<Double> EXACTLY = Offset.offset(1e-12);

  @Test
  void turnsToRolloutsWhenTheStudentAgreesOftenEnough() {
    Recipe recipe = begun(Map.of());
    recipe.validated(1.0, 0.59);
    assertThat(recipe.moveOn(50)).isFalse();
    recipe.validated(0.9, 0.6);
    assertThat(recipe.moveOn(100)).isTrue();
    assertThat(recipe.stage()).isEqualTo(Stage.ON_POLICY);
    // What was reached is not given up for one bad measurement.
    recipe.validated(2.0, 0.1);
    assertThat(recipe.moveOn(150)).isFalse();
    assertThat(recipe.stage()).isEqualTo(Stage.ON_POLICY);
  }

  @Test
  void turnsToRolloutsWhenDataAloneTeachesNoMore() {
    Recipe recipe = begun(Map.of("plateau-validations", "3"));
    double[] falling = {2, 1.5, 1.2, 1.195, 1.19, 1.0};
    for (double kl : falling) {
      recipe.validated(kl, 0.2);
      assertThat(recipe.moveOn(1)).isFalse();
    }
    for (int i = 0; i < 2; i++) {
      recipe.validated(0.995, 0.2);
      assertThat(recipe.moveOn(2)).isFalse();
    }
    recipe.validated(1.1, 0.2);
    assertThat(recipe.moveOn(3)).isTrue();
  }

  @Test
  void aPlateauOfNoMeasurementsNeverComes() {
    Recipe recipe = begun(Map.of("plateau-validations", "0"));
    for (int i = 0; i < 100; i++) {
      recipe.validated(1, 0.2);
    }
    assertThat(recipe.moveOn(3)).isFalse();
  }

  @Test
  void turnsToRolloutsAfterSoManySteps() {
    Recipe recipe = begun(Map.of("on-policy-steps", "7"));
    assertThat(recipe.moveOn(6)).isFalse();
    assertThat(recipe.moveOn(7)).isTrue();
  }

  @Test
  void theStageCanBeSetByHand() {
    Recipe data = begun(Map.of("stage", "data", "on-policy-steps", "1"));
    data.validated(0.1, 1);
    assertThat(data.moveOn(100)).isFalse();

    Recipe onPolicy = begun(Map.of("stage", "on-policy"));
    assertThat(onPolicy.moveOn(1)).isTrue();

    // And back, with what another setting left in a checkpoint.
    data.restore(onPolicy.state());
    assertThat(data.moveOn(2)).isTrue();
    assertThat(data.stage()).isEqualTo(Stage.ON_DATA);
    assertThat(data.lambda(3)).isZero();
  }

  @Test
  void withoutAnOnPolicyShareItStaysWithData() {
    Recipe recipe = begun(Map.of("lambda", "0", "stage", "on-policy"));
    assertThat(recipe.moveOn(1)).isFalse();
  }

  @Test
  void waitsForLabelsWhateverTheSetting() {
    Recipe recipe = new Recipe(config(Map.of("stage", "on-policy")));
    assertThat(recipe.moveOn(1)).isFalse();
    assertThat(recipe.stage()).isEqualTo(Stage.WAITING);
  }

  @Test
  void theShareRisesLinearlyOnceItMay() {
    Recipe recipe =
        begun(Map.of("lambda", "0.4", "lambda-ramp-steps", "4", "on-policy-steps", "10"));
    assertThat(recipe.lambda(9)).isZero();
    recipe.moveOn(10);
    assertThat(recipe.lambda(10)).isEqualTo(0.1, EXACTLY);
    assertThat(recipe.lambda(11)).isEqualTo(0.2, EXACTLY);
    assertThat(recipe.lambda(13)).isEqualTo(0.4, EXACTLY);
    assertThat(recipe.lambda(10_000)).isEqualTo(0.4, EXACTLY);
  }

  @Test
  void withoutARampTheShareIsThereAtOnce() {
    Recipe recipe =
        begun(Map.of("lambda", "0.4", "lambda-ramp-steps", "0", "on-policy-steps", "10"));
    recipe.moveOn(10);
    assertThat(recipe.lambda(10)).isEqualTo(0.4, EXACTLY);
  }

  private static Recipe begun(Map<String, String> changes) {
    Recipe recipe = new Recipe(config(changes));
    recipe.begin();
    return recipe;
  }

  private static TrainerConfig config(Map<String, String> changes) {
    return Settings.of(new HashMap<>(changes));
  }
}
