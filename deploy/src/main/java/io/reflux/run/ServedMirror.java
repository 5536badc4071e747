package io.reflux.run;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.producers.MirrorConfig;
import io.reflux.producers.MirrorRequest;
import io.reflux.producers.TrafficMirror;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.serving.ServedExchange;
import io.reflux.serving.ServerService;
import java.util.Map;

/**
 * Lets what a server answers flow back as mirrored requests, with the student's text as the
 * response. Server and mirror do not know each other; the mirror neither slows nor fails the
 * server, and counts what it drops.
 */
public final class ServedMirror implements AutoCloseable {
  private static final String SOURCE = "server";

  private final TrafficMirror mirror;

  private ServedMirror(TrafficMirror mirror) {
    this.mirror = mirror;
  }

  /**
   * Taps a server that has not started, and lets go when it has ended.
   *
   * @param config sampling, sizes, redaction and default segment
   */
  public static void attach(
      ServerService server, MirrorConfig config, KafkaClients clients, MeterRegistry meters) {
    ServedMirror tap =
        new ServedMirror(
            TrafficMirror.builder(clients, SOURCE).settings(config).meters(meters).build());
    server.onServed(tap::accept);
    var unused = server.termination().thenRun(tap::close);
  }

  private void accept(ServedExchange served) {
    MirrorRequest.Builder request =
        served.prompt().isPresent()
            ? MirrorRequest.prompt(served.prompt().get())
            : MirrorRequest.messages(
                served.messages().stream()
                    .map(message -> new MirrorRequest.Turn(message.role(), message.content()))
                    .toList());
    // Counted by the mirror if it is dropped.
    var unused =
        mirror.submit(
            request
                .requestId(served.requestId())
                .receivedAt(served.receivedAt())
                .segment(served.segment().orElse(null))
                .tags(
                    Map.of("channel", served.channel(), "version", Long.toString(served.version())))
                .response(served.response())
                .maxTokens(served.maxTokens())
                .build());
  }

  @Override
  public void close() {
    mirror.close();
  }
}
