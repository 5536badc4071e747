package io.reflux.bench.kills;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.bench.kafka.Configs;
import io.reflux.scorer.ScorerService;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Map;

/** A scorer in a process of its own, to be killed. */
final class KilledScorer {
  private KilledScorer() {}

  /**
   * Scores until killed, or until whoever started it is gone.
   *
   * @param arguments teacher, broker, prefix, registry
   */
  public static void main(String[] arguments) throws IOException {
    ScorerService scorer =
        new ScorerService(
            Configs.scorer(
                Map.of(
                    "teacher",
                    arguments[0],
                    // The same name each time: what a kill left half done is taken up at once.
                    "instance",
                    "killed")),
            Configs.clients(arguments[1], arguments[2], arguments[3]),
            new SimpleMeterRegistry());
    scorer.start();
    var unused =
        scorer
            .termination()
            .whenComplete(
                (done, failure) -> {
                  // The service has said why in its log.
                  if (failure != null) {
                    Runtime.getRuntime().halt(1);
                  }
                });
    // The other end is the benchmark's process.
    System.in.transferTo(OutputStream.nullOutputStream());
    Runtime.getRuntime().halt(0);
  }
}
