package io.reflux.serving.sidecar;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * A runtime as the sidecar sees it: something that is asked over HTTP, and answers as a test says.
 */
final class Runtime implements AutoCloseable {
  static final int HANG = -1;

  private final HttpServer server;
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final CountDownLatch ending = new CountDownLatch(1);
  private final BlockingQueue<Asked> asked = new LinkedBlockingQueue<>();
  private volatile Function<Asked, Integer> answer = call -> 200;

  /** A request. */
  record Asked(String method, String path, String body, String version, String authorization) {}

  Runtime() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setExecutor(threads);
    server.createContext("/", this::handle);
    server.start();
  }

  String url() {
    return "http://127.0.0.1:" + server.getAddress().getPort();
  }

  /** What it answers from now on: a status, or {@link #HANG}. */
  void answers(Function<Asked, Integer> next) {
    answer = next;
  }

  /** The next request that was not looked at yet. */
  Asked next() throws InterruptedException {
    Asked one = asked.poll(20, TimeUnit.SECONDS);
    if (one == null) {
      throw new AssertionError("no request within 20 s");
    }
    return one;
  }

  int waiting() {
    return asked.size();
  }

  @Override
  public void close() {
    ending.countDown();
    server.stop(0);
    threads.shutdownNow();
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
      Asked call =
          new Asked(
              exchange.getRequestMethod(),
              exchange.getRequestURI().getPath(),
              body,
              exchange.getRequestHeaders().getFirst("reflux-snapshot-version"),
              exchange.getRequestHeaders().getFirst("authorization"));
      int status = answer.apply(call);
      asked.add(call);
      if (status == HANG) {
        ending.await();
        return;
      }
      byte[] text = "{\"message\":\n\"as told\"}".getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(status, text.length);
      exchange.getResponseBody().write(text);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
