package io.reflux.monitor.drift;

import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.DriftReport;
import java.nio.ByteBuffer;
import java.time.Instant;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * Sums over the requests of one segment in one window; enough for every figure of the report.
 *
 * @param klSquares sum over requests of kl_sum²
 * @param klPositions sum over requests of kl_sum · positions
 * @param positionSquares sum over requests of positions²
 * @param acceptance sum over the positions whose labels tell it
 * @param acceptancePositions how many those are
 * @param entropy sum over the positions whose labels tell it
 * @param entropyPositions how many those are
 */
record WindowSums(
    long studentVersion,
    long requests,
    long positions,
    double kl,
    double klMax,
    double klSquares,
    double klPositions,
    double positionSquares,
    long agreements,
    double acceptance,
    long acceptancePositions,
    double entropy,
    long entropyPositions) {
  static final WindowSums EMPTY = new WindowSums(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

  private static final byte FORMAT = 2;
  private static final int BYTES = 1 + 13 * Long.BYTES;

  /** What earlier builds left in the store: every position told everything. */
  private static final byte EARLIER_FORMAT = 1;

  private static final int EARLIER_BYTES = 1 + 11 * Long.BYTES;

  WindowSums plus(Divergence d) {
    double n = d.getPositions();
    double k = d.getKlSum();
    return new WindowSums(
        Math.max(studentVersion, d.getStudentVersion()),
        requests + 1,
        positions + d.getPositions(),
        kl + k,
        Math.max(klMax, d.getKlMax()),
        klSquares + k * k,
        klPositions + k * n,
        positionSquares + n * n,
        agreements + d.getAgreements(),
        acceptance + d.getAcceptanceSum(),
        acceptancePositions + orAll(d.getAcceptanceRows(), d),
        entropy + d.getEntropySum(),
        entropyPositions + orAll(d.getEntropyRows(), d));
  }

  private static int orAll(int rows, Divergence d) {
    return rows < 0 ? d.getPositions() : rows;
  }

  DriftReport report(String segment, long start, long end) {
    double mean = kl / positions;
    return DriftReport.newBuilder()
        .setSegment(segment)
        .setWindowStart(Instant.ofEpochMilli(start))
        .setWindowEnd(Instant.ofEpochMilli(end))
        .setStudentVersion(studentVersion)
        .setRequests(requests)
        .setPositions(positions)
        .setKlMean(mean)
        .setKlStandardError(standardError(mean))
        .setKlMax(klMax)
        .setAgreement((double) agreements / positions)
        .setAcceptance(acceptance / acceptancePositions)
        .setTeacherEntropy(entropy / entropyPositions)
        .build();
  }

  /**
   * Of the ratio of sums, as requests are drawn and positions within one are not independent: the
   * linearised estimator, √(n/(n−1) · Σ(k − mean·p)²) / Σp. NaN with fewer than two requests, which
   * say nothing of their spread.
   */
  private double standardError(double mean) {
    if (requests < 2) {
      return Double.NaN;
    }
    double squares = klSquares - 2 * mean * klPositions + mean * mean * positionSquares;
    return Math.sqrt(Math.max(0, squares) * requests / (requests - 1)) / positions;
  }

  static Serde<WindowSums> serde() {
    return Serdes.serdeFrom(
        (topic, sums) -> sums == null ? null : sums.toBytes(),
        (topic, bytes) -> bytes == null ? null : fromBytes(topic, bytes));
  }

  private byte[] toBytes() {
    return ByteBuffer.allocate(BYTES)
        .put(FORMAT)
        .putLong(studentVersion)
        .putLong(requests)
        .putLong(positions)
        .putDouble(kl)
        .putDouble(klMax)
        .putDouble(klSquares)
        .putDouble(klPositions)
        .putDouble(positionSquares)
        .putLong(agreements)
        .putDouble(acceptance)
        .putLong(acceptancePositions)
        .putDouble(entropy)
        .putLong(entropyPositions)
        .array();
  }

  private static WindowSums fromBytes(String topic, byte[] bytes) {
    boolean current = bytes.length == BYTES && bytes[0] == FORMAT;
    boolean earlier = bytes.length == EARLIER_BYTES && bytes[0] == EARLIER_FORMAT;
    if (!current && !earlier) {
      throw new SerializationException(
          topic
              + ": window of "
              + bytes.length
              + " bytes (expected: "
              + BYTES
              + ", format "
              + FORMAT
              + ")");
    }
    ByteBuffer in = ByteBuffer.wrap(bytes, 1, bytes.length - 1);
    long version = in.getLong();
    long requests = in.getLong();
    long positions = in.getLong();
    return new WindowSums(
        version,
        requests,
        positions,
        in.getDouble(),
        in.getDouble(),
        in.getDouble(),
        in.getDouble(),
        in.getDouble(),
        in.getLong(),
        in.getDouble(),
        current ? in.getLong() : positions,
        in.getDouble(),
        current ? in.getLong() : positions);
  }
}
