package io.reflux.trainer;

import io.reflux.schemas.avro.Stage;
import io.reflux.trainer.LabelledSequence.Written;
import io.reflux.trainer.Validation.Figures;
import io.reflux.trainer.nn.ModelState;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;

/** CheckpointSamples with something in every part. */
final class CheckpointSamples {
  private CheckpointSamples() {}

  /** The same for the same step. */
  static Checkpoint of(long step, int parameters) {
    Random random = new Random(step);
    ModelState model = model(random, step, parameters);
    return of(step, model, new StudentState.Good(step - 1, model(random, step - 1, parameters)));
  }

  static Checkpoint of(long step, ModelState model, StudentState.Good good) {
    Random random = new Random(step);
    Map<String, Figures> segments =
        Map.of("a", new Figures(7, 0.5, 0.75), "é", new Figures(9, 0.25, -0.5));
    return new Checkpoint(
        "shape",
        "teacher",
        "tokenizer",
        new IntakeState(
            Map.of(
                "reflux.soft-labels-0", new Position(17, 17),
                "reflux.soft-labels-1", new Position(5, 3)),
            7,
            1,
            0.75),
        new StudentState(
            model,
            Optional.ofNullable(good),
            random.nextLong(),
            step,
            2,
            3,
            4.5,
            Double.NaN,
            0.25,
            new Tally(1, 2, 3, 4, 5, 6, 7, 8),
            Optional.of(new Validation(11, new Figures(16, 0.375, 0.125), new TreeMap<>(segments))),
            new StudentState.Staging(Stage.ON_POLICY, 12, Double.POSITIVE_INFINITY, 13, true),
            List.of(14L, 15L),
            new StudentState.Ramp(16, 0.5),
            new StudentState.Drift(17, 1.5, 2.5, 64, 3.5),
            new StudentState.Guards(
                new TreeMap<>(
                    Map.of(
                        "fresh",
                        List.of(new StudentState.Seen(1.5, 20), new StudentState.Seen(2, 21)),
                        "rollouts",
                        List.of())),
                List.of(18L, 19L)),
            new ReplayState(
                List.of(sequence(random)),
                List.of(sequence(random), sequence(random)),
                List.of(new ReplayState.Sampled(0.125, sequence(random)))),
            List.of(rollout(random), rollout(random)),
            List.of(
                new StudentState.Quarantined(sequence(random), Double.POSITIVE_INFINITY),
                new StudentState.Quarantined(rollout(random), 20)),
            List.of(sequence(random))));
  }

  static ModelState model(Random random, long updates, int parameters) {
    return new ModelState(
        "adamw",
        "full",
        updates,
        Map.of("weight", random.nextDouble()),
        Map.of("a", floats(random, parameters), "b", floats(random, parameters)));
  }

  private static LabelledSequence sequence(Random random) {
    int[] ids = random.ints(3 + random.nextInt(4), 0, 40).toArray();
    byte[] labels = new byte[random.nextInt(9)];
    random.nextBytes(labels);
    return new LabelledSequence(
        "é" + random.nextInt(),
        "s" + random.nextInt(3),
        random.nextLong(),
        random.nextFloat(),
        ids,
        2,
        40,
        1.5,
        new byte[] {(byte) random.nextInt()},
        labels,
        random.ints(random.nextInt(3), 0, 40).toArray(),
        Optional.empty());
  }

  private static LabelledSequence rollout(Random random) {
    LabelledSequence sequence = sequence(random);
    return Sequences.written(
        sequence, new Written(random.nextLong(), 0.9, floats(random, sequence.rows())));
  }

  private static float[] floats(Random random, int count) {
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      floats[i] = random.nextFloat();
    }
    return floats;
  }
}
