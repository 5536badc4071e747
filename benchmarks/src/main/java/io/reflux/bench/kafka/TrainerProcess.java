package io.reflux.bench.kafka;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.trainer.TrainerService;
import java.io.IOException;
import java.io.OutputStream;
import java.util.HashMap;
import java.util.Map;

/** A trainer in a process of its own, to be watched or killed. */
public final class TrainerProcess {
  private TrainerProcess() {}

  /**
   * Trains until its last step, or until its standard input ends, as it does when whoever started
   * it is gone.
   *
   * @param arguments broker, prefix, registry, then settings of the trainer as KEY=VALUE
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
            .whenComplete(
                (done, failure) -> {
                  if (failure != null) {
                    // Nobody else says why: the log of this process is the benchmark's.
                    failure.printStackTrace();
                  }
                  Runtime.getRuntime().halt(failure == null ? 0 : 1);
                });
    // The other end is the benchmark's process.
    System.in.transferTo(OutputStream.nullOutputStream());
    trainer.close();
    Runtime.getRuntime().halt(0);
  }
}
