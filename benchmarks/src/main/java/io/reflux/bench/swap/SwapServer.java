package io.reflux.bench.swap;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.bench.kafka.Configs;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.serving.ServedModel;
import io.reflux.serving.ServerConfig;
import io.reflux.serving.ServerService;
import io.reflux.serving.SnapshotSubscriber;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotsConfig;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** A server in a process of its own that tells another of its swaps, a line each. */
final class SwapServer {
  /** Followed by the port that it listens on. */
  static final String PORT = "port";

  /** Followed by a version and how many models are in memory. */
  static final String SWAPPED = "swapped";

  /** Followed by a version. */
  static final String RELEASED = "released";

  /** Followed by what is wrong. */
  static final String PROBLEM = "problem";

  private SwapServer() {}

  /**
   * Serves until its standard input ends, as it does when whoever started it is gone.
   *
   * @param arguments broker, prefix, registry, directory of trusted keys, port of whom to tell,
   *     then settings of the server as KEY=VALUE
   */
  public static void main(String[] arguments) throws IOException {
    Map<String, String> settings = new HashMap<>();
    for (int i = 5; i < arguments.length; i++) {
      int equals = arguments[i].indexOf('=');
      settings.put(arguments[i].substring(0, equals), arguments[i].substring(equals + 1));
    }
    KafkaClients clients = Configs.clients(arguments[0], arguments[1], arguments[2]);
    SnapshotAccess snapshots =
        SnapshotAccess.of(
            clients,
            Configs.of(SnapshotsConfig.class, "reflux.snapshots.", Map.of("trust", arguments[3])));
    try (Socket parent =
        new Socket(InetAddress.getLoopbackAddress(), Integer.parseInt(arguments[4]))) {
      ServerService server =
          new ServerService(
              Configs.of(ServerConfig.class, "reflux.serve.", settings),
              snapshots,
              new SimpleMeterRegistry());
      Teller teller = new Teller(server, parent.getOutputStream());
      server.addListener(teller);
      server.start();
      teller.tell(PORT + " " + server.port());
      // The other end is the benchmark's process.
      System.in.transferTo(OutputStream.nullOutputStream());
      server.close();
    }
    Runtime.getRuntime().halt(0);
  }

  private static final class Teller implements SnapshotSubscriber.Listener {
    private final ServerService server;
    private final PrintStream out;

    Teller(ServerService server, OutputStream out) {
      this.server = server;
      this.out = new PrintStream(out, true, StandardCharsets.UTF_8);
    }

    void tell(String line) {
      synchronized (out) {
        out.println(line);
      }
    }

    @Override
    public void swapped(ServedModel now) {
      tell(SWAPPED + " " + now.version() + " " + server.subscriber().modelsInMemory());
    }

    @Override
    public void released(long version) {
      tell(RELEASED + " " + version);
    }

    @Override
    public void problem(SnapshotException problem) {
      tell(PROBLEM + " " + problem.getMessage().replaceAll("\\s+", " "));
    }
  }
}
