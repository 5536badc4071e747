package io.reflux.trainer.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.pretrain.Shape;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class TrainingFlopsTest {
  private static final double QUERIES = 8 * 8 + 8 * 4 + 8 * 4;
  private static final double MATRICES = QUERIES + 8 * 8 + 3 * 8 * 16;

  /** Of 10 positions a token sees 5 on average: as many products with keys and as with values. */
  private static final double ATTENTION = 2 * 2 * 5 * 8;

  private static final double HEAD = 0.5 * 2 * 8 * 100;

  private final ModelConfig config =
      Shape.parse("hidden=8,layers=3,heads=2,kv-heads=1,ffn=16,vocab=100")
          .config(100, OptionalInt.empty(), List.of(0));

  @Test
  void countsTheProductsOfATrainingStep() {
    expect(Adaptation.FULL, 3 * 3 * (2 * MATRICES + ATTENTION) + 3 * HEAD);
  }

  @Test
  void whatIsFrozenHasNoGradientOfItsOwn() {
    double forward = 2 * MATRICES + ATTENTION;
    // The way back still goes through the frozen layers to the embeddings.
    expect(
        new Adaptation.Frozen(1, false),
        3 * forward + 3 * (2 * MATRICES + 2 * ATTENTION) + 2 * 2 * MATRICES + 3 * HEAD);
    // It ends at the queries, keys and values of the first trained layer; the tied head is frozen.
    assertThat(config.tiedEmbeddings()).isTrue();
    expect(
        new Adaptation.Frozen(2, true),
        3 * forward + (4 * MATRICES + 2 * ATTENTION - 2 * QUERIES) + 2 * HEAD);
  }

  @Test
  void adaptersAddLittleAndTheirMatricesHaveNoGradient() {
    double adapter = 2 * (8 + 8);
    expect(
        Adaptation.parse(0, false, 2, 4, "q", 1),
        3 * (4 * MATRICES + 3 * ATTENTION + 6 * adapter) - 2 * QUERIES + 2 * HEAD);
  }

  private void expect(Adaptation adaptation, double operations) {
    assertThat(TrainingFlops.perToken(config, adaptation, 10, 0.5))
        .isCloseTo(operations, within(1e-9));
  }
}
