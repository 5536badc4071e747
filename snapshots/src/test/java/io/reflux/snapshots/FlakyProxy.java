package io.reflux.snapshots;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** Stands before a server, and dies on demand. */
final class FlakyProxy implements AutoCloseable {
  private final int target;
  private final ServerSocket server;
  private final Set<Socket> open = ConcurrentHashMap.newKeySet();
  private final AtomicLong upLeft = new AtomicLong(Long.MAX_VALUE);
  private final AtomicLong downLeft = new AtomicLong(Long.MAX_VALUE);
  private volatile boolean dead;
  private volatile boolean staysDead;

  FlakyProxy(int target) throws IOException {
    this.target = target;
    this.server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    start(this::accept);
  }

  URI endpoint() {
    return URI.create("http://127.0.0.1:" + server.getLocalPort());
  }

  /** Dies when so many bytes have gone to the server, and stays dead. */
  void dieAfterSending(long bytes) {
    staysDead = true;
    upLeft.set(bytes);
  }

  /** Breaks all connections when so many bytes have come from the server, once. */
  void breakAfterReceiving(long bytes) {
    staysDead = false;
    downLeft.set(bytes);
  }

  boolean isDead() {
    return dead;
  }

  void revive() {
    upLeft.set(Long.MAX_VALUE);
    downLeft.set(Long.MAX_VALUE);
    dead = false;
  }

  @Override
  public void close() throws IOException {
    server.close();
    breakAll();
  }

  private void accept() {
    while (!server.isClosed()) {
      try {
        Socket client = server.accept();
        open.add(client);
        if (dead) {
          close(client);
        } else {
          Socket upstream = new Socket(InetAddress.getLoopbackAddress(), target);
          open.add(upstream);
          start(() -> pump(client, upstream, upLeft));
          start(() -> pump(upstream, client, downLeft));
        }
      } catch (IOException e) {
        // The server socket was closed, or the target is away: the next connection will tell.
        breakAll();
      }
    }
  }

  private void pump(Socket from, Socket to, AtomicLong left) {
    byte[] buffer = new byte[16 << 10];
    try (from;
        to) {
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      int read = in.read(buffer);
      while (read >= 0) {
        if (left.addAndGet(-read) < 0) {
          dead = staysDead;
          left.set(Long.MAX_VALUE);
          breakAll();
          return;
        }
        out.write(buffer, 0, read);
        out.flush();
        read = in.read(buffer);
      }
    } catch (IOException e) {
      // Either side has gone; so does the other.
      close(from);
    } finally {
      open.remove(from);
      open.remove(to);
    }
  }

  private void breakAll() {
    open.forEach(FlakyProxy::close);
    open.clear();
  }

  private static void close(Socket socket) {
    try {
      socket.close();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static void start(Runnable task) {
    Thread thread = new Thread(task, "flaky-proxy");
    thread.setDaemon(true);
    thread.start();
  }
}
