package io.reflux.producers;

import io.reflux.traffic.Exchange;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import io.reflux.traffic.TrafficStream;
import java.time.Instant;
import java.util.UUID;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Sends prompts of the generated support desk through a mirror at a steady rate: no answers, which
 * are the teacher's to give. While the mirror is nearly full, prompts wait.
 */
public final class GeneratedTraffic implements AutoCloseable {
  private final TrafficMirror mirror;
  private final SupportDeskLanguage language;
  private final TrafficStream stream;
  private final PacedFeeder feeder;
  // The seed repeats in every run, request ids must not.
  private final String run = UUID.randomUUID().toString().substring(0, 8);
  private final AtomicLong sent = new AtomicLong();

  /**
   * @param perSecond prompts a second, above 0
   * @param seed the same prompts in the same order
   */
  public GeneratedTraffic(
      TrafficMirror mirror,
      SupportDeskLanguage language,
      TrafficMix mix,
      double perSecond,
      long seed) {
    this.mirror = mirror;
    this.language = language;
    this.stream = language.stream(mix, seed);
    this.feeder = new PacedFeeder("reflux-generated-traffic", perSecond, this::send);
  }

  /** Starts sending. */
  public void start() {
    feeder.start();
  }

  /** From the next prompt on, the shifted segments are most of the traffic. */
  public void shift() {
    switchTo(TrafficMix.shifted(language));
  }

  /** From the next prompt on, another mix. */
  public void switchTo(TrafficMix mix) {
    stream.switchTo(mix);
  }

  /** Prompts handed to the mirror. */
  public long sent() {
    return sent.get();
  }

  /** Completes when closed; exceptionally when sending failed. */
  public CompletionStage<Void> done() {
    return feeder.done();
  }

  /** Stops after the prompt under way. */
  @Override
  public void close() {
    feeder.close();
  }

  private boolean send() {
    if (mirror.isNearlyFull()) {
      return true;
    }
    Exchange exchange = stream.next();
    long number = sent.incrementAndGet();
    mirror.submit(
        MirrorRequest.prompt(exchange.prompt())
            .requestId("generated-" + run + "-" + number)
            .segment(exchange.segment())
            .receivedAt(Instant.now())
            .build());
    return true;
  }
}
