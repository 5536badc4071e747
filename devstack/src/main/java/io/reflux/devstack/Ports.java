package io.reflux.devstack;

import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.UnknownHostException;
import java.util.concurrent.ThreadLocalRandom;

/** Choosing and checking TCP ports. */
final class Ports {
  // Below the range from which Linux, macOS and Windows take the ports of outgoing connections:
  // a kept port must still be free at the next start.
  private static final int LOWEST = 20_000;
  private static final int HIGHEST = 31_999;
  private static final int ATTEMPTS = 200;

  private Ports() {}

  static void requireValid(String name, int port) {
    if (port < 0 || port > 65_535) {
      throw new RefluxException(
          name + ": " + port + " (expected: 1 to 65535, or 0 to choose a free one)");
    }
  }

  /** A port on which nothing listens now. */
  static int free(String host) {
    InetAddress address = resolve(host);
    for (int i = 0; i < ATTEMPTS; i++) {
      int port = ThreadLocalRandom.current().nextInt(LOWEST, HIGHEST + 1);
      if (isFree(address, port)) {
        return port;
      }
    }
    try (ServerSocket socket = new ServerSocket(0, 1, address)) {
      return socket.getLocalPort();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static boolean isFree(String host, int port) {
    return isFree(resolve(host), port);
  }

  /**
   * Refuses a port that something listens on.
   *
   * @param where what to say about the origin of the value, such as the file it was kept in; may be
   *     empty
   */
  static void requireFree(String name, String host, int port, String where) {
    if (!isFree(resolve(host), port)) {
      throw new RefluxException(
          name
              + ": "
              + port
              + where
              + " (expected: a free port; another process listens on "
              + host
              + ":"
              + port
              + ")");
    }
  }

  private static boolean isFree(InetAddress address, int port) {
    try (ServerSocket socket = new ServerSocket()) {
      socket.setReuseAddress(true); // connections of a broker that has just gone may still linger
      socket.bind(new InetSocketAddress(address, port), 1);
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  private static InetAddress resolve(String host) {
    try {
      return InetAddress.getByName(host);
    } catch (UnknownHostException e) {
      throw new RefluxException("host: " + host + " (expected: a name or address known here)", e);
    }
  }
}
