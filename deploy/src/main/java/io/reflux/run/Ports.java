package io.reflux.run;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;

/** Free ports on the loopback address. */
final class Ports {
  private static final int TRIES = 50;

  private Ports() {}

  /** The wanted port if it is free, else the next free one after it, else any. */
  static int freeFrom(int wanted) {
    for (int port = wanted; port < wanted + TRIES && port < 65_536; port++) {
      try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
        return socket.getLocalPort();
      } catch (IOException taken) {
        // Somebody listens there: the next one.
      }
    }
    return 0;
  }
}
