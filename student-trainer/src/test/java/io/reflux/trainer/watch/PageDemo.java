package io.reflux.trainer.watch;

import io.reflux.operations.Health;
import io.reflux.operations.OperationsServer;
import io.reflux.operations.PrometheusMeters;
import io.reflux.trainer.watch.Report.Slice;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.concurrent.CountDownLatch;

/** Serves the trainer's page over a made-up run: {@code PageDemo PORT [REPORTS]}. */
public final class PageDemo {
  private PageDemo() {}

  public static void main(String[] args) throws Exception {
    int reports = args.length > 1 ? Integer.parseInt(args[1]) : 400;
    Path data = Files.createTempDirectory("reflux-page");
    RunWatch watch =
        RunWatch.open(
            "student",
            data,
            OptionalLong.empty(),
            Map.of("reflux.train.lambda", "0.25", "reflux.train.on-policy-steps", ""));
    Random random = new Random(1);
    for (int i = 0; i < reports; i++) {
      watch.record(report(i, Instant.now().minusSeconds(5L * (reports - i)), random));
      if (i % 90 == 60) {
        watch.happened(
            Happening.Kind.PUBLISHED,
            20L * i,
            "Snapshot %d: held-out agreement 0.9120, KL 0.0810 nats".formatted(1 + i / 90));
      }
      if (i == 200) {
        watch.happened(
            Happening.Kind.HELD_BACK,
            20L * i,
            "Agreement 0.9011 against 0.9120 of the published one");
        watch.happened(Happening.Kind.SKIPPED, 20L * i, "Its gradient was not finite");
      }
    }
    OperationsServer server =
        OperationsServer.start(
            "127.0.0.1",
            Integer.parseInt(args[0]),
            PrometheusMeters.of("trainer"),
            Health.waitingFor(),
            pages -> TrainerPage.add(pages, watch::view));
    System.out.println("http://127.0.0.1:" + server.port() + "/");
    new CountDownLatch(1).await();
  }

  static Report report(int i, Instant at, Random random) {
    double falling = Math.exp(-i / 80.0);
    double noise = 1 + 0.08 * random.nextGaussian();
    boolean onPolicy = i > 150;
    Map<Figure, Double> figures = new EnumMap<>(Figure.class);
    figures.put(Figure.LOSS, (0.09 + 2.6 * falling) * noise);
    figures.put(Figure.LOSS_DATA, (0.08 + 2.6 * falling) * noise);
    figures.put(Figure.KL, (0.05 + 2.4 * falling) * noise);
    figures.put(Figure.CROSS_ENTROPY, (0.6 + 2.6 * falling) * noise);
    figures.put(Figure.STUDENT_ENTROPY, (0.55 + 3 * falling) * noise);
    figures.put(Figure.TRAINING_AGREEMENT, 0.95 - 0.8 * falling * noise);
    figures.put(Figure.VALIDATION_AGREEMENT, 0.93 - 0.8 * Math.exp(-(i / 5 * 5) / 80.0));
    figures.put(Figure.VALIDATION_KL, 0.07 + 2.4 * Math.exp(-(i / 5 * 5) / 80.0));
    figures.put(Figure.LEARNING_RATE, 0.002 * Math.min(1, (i + 1) / 8.0));
    figures.put(Figure.GRADIENT_NORM, (0.2 + 2 * falling) * noise);
    figures.put(Figure.SKIPPED_STEPS, i > 200 ? 1.0 : 0.0);
    figures.put(Figure.LAMBDA, onPolicy ? 0.25 * noise : 0);
    if (onPolicy) {
      figures.put(Figure.LOSS_ROLLOUTS, (0.14 + falling) * noise);
      figures.put(Figure.STALENESS_VERSIONS, 2 * noise);
    }
    figures.put(Figure.ROLLOUTS_HELD, onPolicy ? 640.0 : 0);
    figures.put(Figure.TOKENS_PER_SECOND, 2300 * noise);
    figures.put(Figure.STEPS_PER_SECOND, 4 * noise);
    figures.put(Figure.MFU, 0.43 * noise);
    figures.put(Figure.RESIDENT_BYTES, 6.2e8 + 2e7 * falling);
    figures.put(Figure.LABELS_PER_SECOND, 19 * noise);
    figures.put(Figure.ROLLOUT_LABELS_PER_SECOND, onPolicy ? 4 * noise : 0);
    figures.put(Figure.ROLLOUTS_PER_SECOND, onPolicy ? 4 * noise : 0);
    figures.put(Figure.LABELS_LAG, 12.0);
    Map<Slice, Map<Figure, Double>> slices = new HashMap<>();
    for (String segment : new String[] {"billing", "faq", "returns"}) {
      slices.put(
          new Slice(Slice.SEGMENT, segment),
          Map.of(
              Figure.SHARE, 1 / 3.0,
              Figure.TRAINING_AGREEMENT, 0.94,
              Figure.VALIDATION_AGREEMENT, 0.92,
              Figure.VALIDATION_KL, 0.08));
    }
    slices.put(
        new Slice(Slice.OBJECTIVE, "data/forward-kl"),
        Map.of(Figure.LOSS, 0.09, Figure.KL, 0.05, Figure.CROSS_ENTROPY, 0.6));
    return new Report(
        at,
        20L * i,
        46_000L * i,
        onPolicy ? "on_policy" : "on_data",
        onPolicy ? "the teacher: rollouts wait to be scored" : "",
        figures,
        slices);
  }
}
