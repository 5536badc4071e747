package io.reflux.monitor.web;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.monitor.drift.AlertOptions;
import java.time.Instant;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/**
 * Serves the page over a made-up run that goes on: {@code PageDemo PORT [SECONDS LIVED]}. With 0
 * seconds nothing has happened yet, and nothing does.
 */
public final class PageDemo {
  private PageDemo() {}

  public static void main(String[] args) throws InterruptedException {
    int port = Integer.parseInt(args[0]);
    int lived = args.length > 1 ? Integer.parseInt(args[1]) : 240;
    FakeLoop loop = new FakeLoop(Instant.now().minusSeconds(lived)).live(lived);
    if (lived > 0) {
      var unused =
          Executors.newSingleThreadScheduledExecutor()
              .scheduleAtFixedRate(() -> loop.live(1), 1, 1, TimeUnit.SECONDS);
    }
    MonitorPage page =
        new MonitorPage(
            "127.0.0.1",
            port,
            () -> loop.fold().state(Instant.now()),
            new AlertOptions(0.3, 0.2, 2, 2, 3, 3),
            new SimpleMeterRegistry(),
            () -> true);
    page.start();
    System.out.println(page.url());
    new CountDownLatch(1).await();
  }
}
