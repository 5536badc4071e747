package io.reflux.serving.openai;

import com.linecorp.armeria.common.RequestHeaders;
import io.reflux.serving.ServedModel;
import io.reflux.serving.SnapshotSubscriber;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/**
 * The channels that are served at once, and which of them a request goes to: the one it names, or
 * else the canary for a share of users. The same user gets the same channel for as long as the
 * share stays, and keeps the canary when the share grows.
 */
final class Channels {
  /** Names the channel that answered; in a request, the one that is wanted. */
  static final String CHANNEL_HEADER = "reflux-channel";

  /** Says who asks, for a share by user. */
  static final String USER_HEADER = "reflux-user";

  private static final double PERCENT = 100;

  private final Channel stable;
  private final Optional<Channel> canary;
  private final double canaryPercent;

  /** A channel with its own engine, and so with its own room. */
  record Channel(String name, SnapshotSubscriber subscriber, Admission admission) {
    Optional<ServedModel> current() {
      return subscriber.current();
    }
  }

  Channels(Channel stable, Optional<Channel> canary, double canaryPercent) {
    this.stable = stable;
    this.canary = canary;
    this.canaryPercent = canaryPercent;
  }

  Channel stable() {
    return stable;
  }

  Optional<Channel> canary() {
    return canary;
  }

  /**
   * The channel for a request.
   *
   * @param user that the body names
   * @throws ApiException with 400 when the request names a channel that is not served
   */
  Channel of(RequestHeaders headers, Optional<String> user) {
    String wanted = headers.get(CHANNEL_HEADER);
    if (wanted != null) {
      return named(wanted.strip());
    }
    if (canary.isEmpty()
        || !isOfferedTo(Optional.ofNullable(headers.get(USER_HEADER)).or(() -> user))) {
      return stable;
    }
    // A canary that has nothing new to show would only be a second copy.
    Optional<ServedModel> candidate = canary.get().current();
    return candidate.isPresent() && !isServedAnyway(candidate.get()) ? canary.get() : stable;
  }

  private Channel named(String name) {
    return all()
        .filter(channel -> channel.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                ApiException.invalid(
                    CHANNEL_HEADER,
                    "'" + name + "' (expected: " + all().map(Channel::name).toList() + ")"));
  }

  private boolean isServedAnyway(ServedModel candidate) {
    return stable.current().filter(now -> now.version() == candidate.version()).isPresent();
  }

  private boolean isOfferedTo(Optional<String> user) {
    double drawn =
        user.map(Channels::fraction).orElseGet(() -> ThreadLocalRandom.current().nextDouble());
    return drawn * PERCENT < canaryPercent;
  }

  /** In [0, 1), the same in every process: the finisher of SplitMix64 over the text's hash. */
  private static double fraction(String user) {
    long hash = user.hashCode() * 0x9E3779B97F4A7C15L;
    hash = (hash ^ (hash >>> 30)) * 0xBF58476D1CE4E5B9L;
    hash = (hash ^ (hash >>> 27)) * 0x94D049BB133111EBL;
    return ((hash ^ (hash >>> 31)) >>> 11) * 0x1.0p-53;
  }

  Stream<Channel> all() {
    return Stream.concat(Stream.of(stable), canary.stream());
  }

  int inFlight() {
    return all().mapToInt(channel -> channel.admission().inFlight()).sum();
  }

  int queued() {
    return all().mapToInt(channel -> channel.current().map(ServedModel::queued).orElse(0)).sum();
  }

  long prefixCacheBytes() {
    return all()
        .mapToLong(channel -> channel.current().map(ServedModel::prefixCacheBytes).orElse(0L))
        .sum();
  }

  boolean draining() {
    return stable.admission().draining();
  }

  /** Lets nobody in from now on, and waits for those inside; false when they took too long. */
  boolean drain(Duration patience) throws InterruptedException {
    long deadline = System.nanoTime() + patience.toNanos();
    List<Channel> channels = all().toList();
    for (Channel channel : channels) {
      channel.admission().refuse();
    }
    boolean empty = true;
    for (Channel channel : channels) {
      Duration left = Duration.ofNanos(Math.max(0, deadline - System.nanoTime()));
      empty &= channel.admission().drain(left);
    }
    return empty;
  }
}
