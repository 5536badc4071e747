package io.reflux.monitor.probe;

import java.nio.charset.StandardCharsets;
import java.util.function.LongSupplier;
import java.util.zip.CRC32C;

/**
 * Decides which requests are compared when not all can be. Belongs to one thread.
 *
 * <p>The share is taken by the request's id, so that every instance and every rerun takes the same
 * ones. The rate is a bucket of two seconds' worth: short bursts pass whole.
 */
final class Admission {
  private static final double BURST_SECONDS = 2;
  private static final double CRC_VALUES = 1L << 32;

  private final double share;
  private final double perSecond;
  private final LongSupplier nanoTime;
  private double tokens;
  private long filledAt;

  /**
   * @param perSecond 0 for no bound
   */
  Admission(double share, double perSecond, LongSupplier nanoTime) {
    this.share = share;
    this.perSecond = perSecond;
    this.nanoTime = nanoTime;
    this.tokens = capacity();
    this.filledAt = nanoTime.getAsLong();
  }

  /** Whether the request is of the share. */
  boolean sampled(String requestId) {
    if (share >= 1) {
      return true;
    }
    CRC32C crc = new CRC32C();
    crc.update(requestId.getBytes(StandardCharsets.UTF_8));
    return crc.getValue() / CRC_VALUES < share;
  }

  /** Takes one request's place, or says that there is none. */
  boolean admit() {
    if (perSecond == 0) {
      return true;
    }
    long now = nanoTime.getAsLong();
    tokens = Math.min(capacity(), tokens + (now - filledAt) / 1e9 * perSecond);
    filledAt = now;
    if (tokens < 1) {
      return false;
    }
    tokens--;
    return true;
  }

  private double capacity() {
    return Math.max(1, perSecond * BURST_SECONDS);
  }
}
