package io.reflux.bench.kills;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.bench.kafka.Configs;
import io.reflux.trainer.TrainerService;
import java.io.IOException;
import java.io.OutputStream;
import java.util.HashMap;
import java.util.Map;

/** A trainer in a process of its own, to be killed. */
final class KilledTrainer {
  private KilledTrainer() {}

  /**
   * Trains until its last step, until killed, or until whoever started it is gone.
   *
   * @param arguments broker, prefix, registry, then settings as {@code key=value}
   */
  public static void main(String[] arguments) throws IOException {
    Map<String, String> settings = new HashMap<>();
    for (int i = 3; i < arguments.length; i++) {
      int equals = arguments[i].indexOf('=');
      settings.put(arguments[i].substring(0, equals), arguments[i].substring(equals + 1));
    }
    TrainerService trainer =
        new TrainerService(
            Configs.trainer(settings),
            Configs.clients(arguments[0], arguments[1], arguments[2]),
            new SimpleMeterRegistry());
    trainer.start();
    var unused =
        trainer
            .termination()
            // The service has said why in its log.
            .whenComplete((done, failure) -> Runtime.getRuntime().halt(failure == null ? 0 : 1));
    // The other end is the benchmark's process.
    System.in.transferTo(OutputStream.nullOutputStream());
    Runtime.getRuntime().halt(0);
  }
}
