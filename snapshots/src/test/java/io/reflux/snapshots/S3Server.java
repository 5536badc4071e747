package io.reflux.snapshots;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A whole S3-speaking server in a process of its own, with one bucket. */
final class S3Server implements AutoCloseable {
  static final String BUCKET = "snapshots-test";
  private static final String STARTED = "Started S3MockApplication";

  private final Process process;
  private final int port;

  private S3Server(Process process, int port) {
    this.process = process;
    this.port = port;
  }

  static S3Server start(Path directory) {
    try {
      int port = freePort();
      Process process =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-Xmx192m",
                  "-XX:TieredStopAtLevel=1",
                  "-XX:+UseSerialGC",
                  "-Djava.io.tmpdir=" + directory,
                  "-jar",
                  jar(),
                  "--server.port=0",
                  "--http.port=" + port,
                  "--com.adobe.testing.s3mock.store.initialBuckets=" + BUCKET)
              .redirectErrorStream(true)
              .start();
      CountDownLatch started = new CountDownLatch(1);
      List<String> lines = new ArrayList<>();
      Thread reader = new Thread(() -> read(process, lines, started), "s3-server-output");
      reader.setDaemon(true);
      reader.start();
      if (!started.await(90, TimeUnit.SECONDS) || !process.isAlive()) {
        process.destroyForcibly();
        throw new AssertionError("the S3 server has not started:\n" + String.join("\n", lines));
      }
      return new S3Server(process, port);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(e);
    }
  }

  int port() {
    return port;
  }

  URI endpoint() {
    return URI.create("http://127.0.0.1:" + port);
  }

  @Override
  public void close() {
    process.destroyForcibly().onExit().join();
  }

  private static void read(Process process, List<String> lines, CountDownLatch started) {
    try (BufferedReader out =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      String line = out.readLine();
      while (line != null) {
        if (started.getCount() > 0) {
          lines.add(line);
        }
        if (line.contains(STARTED)) {
          started.countDown();
        }
        line = out.readLine();
      }
    } catch (IOException e) {
      lines.add(e.toString());
    } finally {
      started.countDown();
    }
  }

  private static String jar() {
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
      if (new File(entry).getName().startsWith("s3mock-")) {
        return entry;
      }
    }
    throw new AssertionError("no s3mock on the class path");
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }
}
