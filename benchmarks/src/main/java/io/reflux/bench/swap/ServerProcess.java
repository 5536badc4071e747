package io.reflux.bench.swap;

import io.reflux.bench.ChildJvm;
import io.reflux.bench.ProcessMemory;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.service.RefluxException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;

/** A {@link SwapServer}, and what it has told. */
final class ServerProcess implements AutoCloseable {
  private static final Duration CONNECTS_WITHIN = Duration.ofSeconds(60);
  private static final Duration ANSWERS_WITHIN = Duration.ofSeconds(120);
  private static final Duration ENDS_WITHIN = Duration.ofSeconds(40);
  private static final int LAST_LINES = 5;

  private final ChildJvm process;
  private final Path log;
  private final ServerSocket listening;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition told = lock.newCondition();
  private final List<String> problems = new ArrayList<>();
  private final Set<Long> released = new HashSet<>();
  private Socket connection;
  private long port;
  private long served;
  private long mostModels;
  private boolean ended;

  private ServerProcess(ChildJvm process, ServerSocket listening, Path log) {
    this.process = process;
    this.listening = listening;
    this.log = log;
  }

  /**
   * Starts one, and returns when it listens.
   *
   * @param trust directory of the keys that it believes
   * @param settings of the server, without {@code reflux.serve.}
   */
  static ServerProcess start(
      KafkaConfig kafka, String registryUrl, Path trust, Map<String, String> settings, Path log)
      throws IOException, InterruptedException {
    ServerSocket listening = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
    listening.setSoTimeout((int) CONNECTS_WITHIN.toMillis());
    List<String> arguments =
        new ArrayList<>(
            List.of(
                kafka.bootstrapServers(),
                kafka.prefix(),
                registryUrl,
                trust.toString(),
                Integer.toString(listening.getLocalPort())));
    settings.forEach((key, value) -> arguments.add(key + "=" + value));
    ServerProcess server =
        new ServerProcess(
            ChildJvm.start(SwapServer.class, flags(), environment(), arguments, log),
            listening,
            log);
    boolean listens = false;
    try {
      server.connect();
      listens = true;
      return server;
    } finally {
      if (!listens) {
        server.close();
      }
    }
  }

  /** As the launcher's. */
  static List<String> flags() {
    List<String> flags =
        new ArrayList<>(
            List.of(
                "-XX:+UseG1GC",
                "-XX:GCTimeRatio=4",
                "-XX:-UsePerfData",
                "-Xshare:auto",
                "-Xms64m",
                "-Xmx2g",
                "-XX:+IgnoreUnrecognizedVMOptions",
                "-XX:TrimNativeHeapInterval=10000"));
    if (Runtime.version().feature() >= 24) {
      flags.add("--enable-native-access=ALL-UNNAMED");
      flags.add("--sun-misc-unsafe-memory-access=allow");
    }
    return flags;
  }

  /** As the launcher's. */
  static Map<String, String> environment() {
    return Map.of("OMP_NUM_THREADS", "1", "MALLOC_ARENA_MAX", "1");
  }

  /** Where it listens. */
  int port() {
    return (int) port;
  }

  /** Resident memory, bytes. */
  long resident() throws IOException {
    return ProcessMemory.resident(process.pid()).orElseThrow(() -> gone("no resident memory"));
  }

  /** Most models at once that it told of. */
  long mostModels() {
    lock.lock();
    try {
      return mostModels;
    } finally {
      lock.unlock();
    }
  }

  /** What could not be taken into service. */
  List<String> problems() {
    lock.lock();
    try {
      return List.copyOf(problems);
    } finally {
      lock.unlock();
    }
  }

  /** Waits until new requests get this version. */
  void awaitServed(long version) throws InterruptedException {
    await("version " + version + " served", () -> served >= version);
  }

  /** Waits until a version is out of memory. */
  void awaitReleased(long version) throws InterruptedException {
    await("version " + version + " out of memory", () -> released.contains(version));
  }

  private void connect() throws IOException, InterruptedException {
    try {
      connection = listening.accept();
    } catch (IOException e) {
      throw new RefluxException("bench: the server did not start: " + lastWords(), e);
    }
    Thread reader = new Thread(this::read, "bench-server-events");
    reader.setDaemon(true);
    reader.start();
    await("listening", () -> port > 0);
  }

  private void await(String what, BooleanSupplier condition) throws InterruptedException {
    long left = ANSWERS_WITHIN.toNanos();
    lock.lock();
    try {
      while (!condition.getAsBoolean()) {
        if (ended || left <= 0) {
          throw gone("not " + what + "; " + problems);
        }
        left = told.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }

  private RefluxException gone(String what) {
    return new RefluxException("bench: server: " + what + ": " + lastWords());
  }

  private void read() {
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(connection.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        take(line);
      }
    } catch (IOException e) {
      // The same as its end: whoever waits is told.
      take(SwapServer.PROBLEM + " " + e);
    } finally {
      lock.lock();
      try {
        ended = true;
        told.signalAll();
      } finally {
        lock.unlock();
      }
    }
  }

  private void take(String line) {
    String[] words = line.split(" ", 3);
    lock.lock();
    try {
      switch (words[0]) {
        case SwapServer.PORT -> port = Long.parseLong(words[1]);
        case SwapServer.SWAPPED -> {
          served = Long.parseLong(words[1]);
          mostModels = Math.max(mostModels, Long.parseLong(words[2]));
        }
        case SwapServer.RELEASED -> released.add(Long.parseLong(words[1]));
        default -> problems.add(line);
      }
      told.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private String lastWords() {
    try {
      List<String> lines = Files.readAllLines(log);
      return String.join(
          " | ", lines.subList(Math.max(0, lines.size() - LAST_LINES), lines.size()));
    } catch (IOException e) {
      return log + ": " + e;
    }
  }

  @Override
  public void close() throws IOException {
    try {
      process.endInput();
      var unused = process.awaitEnd(ENDS_WITHIN.toSeconds(), TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      process.close();
      listening.close();
      if (connection != null) {
        connection.close();
      }
    }
  }
}
