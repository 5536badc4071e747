package io.reflux.bench.swap;

import io.reflux.bench.serve.BenchStudent;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Streams without end, each on a connection of its own: a new request as soon as the one before is
 * answered. Most prompts are asked once; some are asked again and again, and what the same weights
 * answer to them has to be the same.
 */
final class StreamLoad implements AutoCloseable {
  private static final int KNOWN_EVERY = 8;
  private static final int KNOWN_PROMPTS = 16;
  private static final int MOST_REASONS = 5;
  private static final long PATIENCE_SECONDS = 90;

  private final int port;
  private final BenchStudent student;
  private final Size size;
  private final int students;
  private final Gaps gaps;
  private final ExecutorService pool;
  private final List<Future<?>> streams = new ArrayList<>();
  private final Map<String, String> knownAnswers = new ConcurrentHashMap<>();
  private final AtomicInteger numbers = new AtomicInteger();
  private final AtomicLong answered = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();
  private final AtomicLong changed = new AtomicLong();
  private final AtomicLong compared = new AtomicLong();
  private final List<String> reasons = new ArrayList<>();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition seen = lock.newCondition();
  private long newest;
  private volatile boolean stopping;

  /**
   * How much to ask.
   *
   * @param streams at the same time
   * @param promptTokens at least
   * @param tokens of each answer
   */
  record Size(int streams, int promptTokens, int tokens) {}

  /**
   * Begins to ask.
   *
   * @param student whose tokenizer the served ones have
   * @param students how many take turns
   */
  StreamLoad(int port, BenchStudent student, int students, Size size, Gaps gaps) {
    this.port = port;
    this.student = student;
    this.students = students;
    this.size = size;
    this.gaps = gaps;
    this.pool =
        Executors.newFixedThreadPool(
            size.streams(),
            task -> {
              Thread thread = new Thread(task, "bench-stream");
              thread.setDaemon(true);
              return thread;
            });
    for (int i = 0; i < size.streams(); i++) {
      streams.add(pool.submit(this::ask));
    }
  }

  /** Waits until an answer names this version or a later one. */
  boolean awaitAnswer(long version) throws InterruptedException {
    long left = TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
    lock.lock();
    try {
      while (newest < version && left > 0) {
        left = seen.awaitNanos(left);
      }
      return newest >= version;
    } finally {
      lock.unlock();
    }
  }

  /** Lets the streams under way end, and asks no more. */
  void stop() throws Exception {
    stopping = true;
    for (Future<?> stream : streams) {
      stream.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }
  }

  /** Requests so far. */
  long requests() {
    return answered.get() + failed.get();
  }

  /** Those without a whole answer of one version. */
  long requestsFailed() {
    return failed.get();
  }

  /** Answers to known prompts that were compared with an earlier one of the same weights. */
  long answersCompared() {
    return compared.get();
  }

  /** Those of them that were others. */
  long answersChanged() {
    return changed.get();
  }

  /** Why the first that failed did. */
  List<String> reasons() {
    synchronized (reasons) {
      return List.copyOf(reasons);
    }
  }

  @Override
  public void close() {
    stopping = true;
    pool.shutdownNow();
  }

  private void ask() {
    long newestHere = 0;
    StreamConnection connection = null;
    try {
      while (!stopping) {
        int number = numbers.getAndIncrement();
        boolean known = number % KNOWN_EVERY == 0;
        int seed = known ? number / KNOWN_EVERY % KNOWN_PROMPTS : KNOWN_PROMPTS + number;
        String prompt = student.prompt(size.promptTokens(), seed);
        try {
          if (connection == null) {
            connection = new StreamConnection(port, gaps);
          }
          StreamConnection.Answer answer = connection.complete(prompt, size.tokens());
          if (answer.version() < newestHere) {
            throw new IOException(
                "version %d after %d (expected: none that is older)"
                    .formatted(answer.version(), newestHere));
          }
          newestHere = answer.version();
          answered.incrementAndGet();
          tell(answer.version());
          if (known) {
            compare(seed, answer);
          }
        } catch (IOException e) {
          failed(e);
          close(connection);
          connection = null;
        }
      }
    } finally {
      close(connection);
    }
  }

  private void compare(int seed, StreamConnection.Answer answer) {
    String key = seed + "/" + answer.version() % students;
    String before = knownAnswers.putIfAbsent(key, answer.text());
    if (before != null) {
      compared.incrementAndGet();
      if (!before.equals(answer.text())) {
        changed.incrementAndGet();
      }
    }
  }

  private void failed(IOException e) {
    failed.incrementAndGet();
    synchronized (reasons) {
      if (reasons.size() < MOST_REASONS) {
        reasons.add(String.valueOf(e.getMessage()));
      }
    }
  }

  private void tell(long version) {
    lock.lock();
    try {
      newest = Math.max(newest, version);
      seen.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private static void close(StreamConnection connection) {
    if (connection == null) {
      return;
    }
    try {
      connection.close();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
