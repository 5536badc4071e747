package io.reflux.producers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class PacedFeederTest {
  @Test
  void keepsItsRate() throws Exception {
    CountDownLatch steps = new CountDownLatch(200);
    long start = System.nanoTime();
    try (PacedFeeder feeder =
        new PacedFeeder(
            "test",
            400,
            () -> {
              steps.countDown();
              return true;
            })) {
      feeder.start();
      assertThat(steps.await(10, TimeUnit.SECONDS)).isTrue();
    }
    // 199 intervals of 2.5 ms; never early, and late only as far as the machine is.
    assertThat(System.nanoTime() - start).isGreaterThanOrEqualTo(497_500_000L);
  }

  @Test
  void endsWhenThereIsNoMoreAndWhenClosed() throws Exception {
    AtomicInteger left = new AtomicInteger(5);
    try (PacedFeeder feeder =
        new PacedFeeder("test", Double.POSITIVE_INFINITY, () -> left.decrementAndGet() > 0)) {
      feeder.start();
      feeder.done().toCompletableFuture().get(10, TimeUnit.SECONDS);
      assertThat(left).hasValue(0);
    }
    PacedFeeder slow = new PacedFeeder("test", 0.01, () -> true);
    slow.start();
    slow.close();
    assertThat(slow.done().toCompletableFuture()).isCompleted();
  }

  @Test
  void aFailedStepIsTold() {
    try (PacedFeeder feeder =
        new PacedFeeder(
            "test",
            100,
            () -> {
              throw new IllegalStateException("broken");
            })) {
      feeder.start();
      assertThatThrownBy(() -> feeder.done().toCompletableFuture().get(10, TimeUnit.SECONDS))
          .hasMessageContaining("broken");
    }
  }
}
