package io.reflux.schemas.labels;

import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * A teacher's log-probs of ids that another record names: the rollout whose generation says which
 * ids its student gave most to.
 *
 * @param rows positions
 * @param k ids a row
 * @param supportChecksum {@link #checksum} of the ids that the log-probs belong to
 * @param logprobs [rows, k], in the order of the rollout's ids: natural logs of probabilities over
 *     the whole vocabulary, negative infinity allowed
 * @param tailLogMass [rows], natural log of the probability outside the k ids; negative infinity
 *     when there is none, NaN where unknown
 * @param tokenLogprobs [rows], natural log of the probability of the token that stands in the
 *     sequence
 * @param entropy [rows], of the whole distribution, in nats; NaN where unknown
 */
@SuppressWarnings("ArrayRecordComponent") // equality by content is below
public record SupportBlock(
    int rows,
    int k,
    int supportChecksum,
    float[] logprobs,
    float[] tailLogMass,
    float[] tokenLogprobs,
    float[] entropy)
    implements LabelBlock {

  public SupportBlock {
    Shapes.requireNotNegative("rows", rows);
    Shapes.requireNotNegative("k", k);
    Shapes.requireLength("logprobs", logprobs.length, (long) rows * k);
    Shapes.requireLength("tailLogMass", tailLogMass.length, rows);
    Shapes.requireLength("tokenLogprobs", tokenLogprobs.length, rows);
    Shapes.requireLength("entropy", entropy.length, rows);
  }

  /** CRC-32C of the ids, 4 bytes each, highest first. */
  public static int checksum(int[] supportIds) {
    byte[] bytes = new byte[Math.multiplyExact(4, supportIds.length)];
    for (int i = 0; i < supportIds.length; i++) {
      int id = supportIds[i];
      bytes[4 * i] = (byte) (id >>> 24);
      bytes[4 * i + 1] = (byte) (id >>> 16);
      bytes[4 * i + 2] = (byte) (id >>> 8);
      bytes[4 * i + 3] = (byte) id;
    }
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    return (int) crc.getValue();
  }

  /**
   * Refuses ids that the log-probs do not belong to.
   *
   * @param ids [rows, k], of the rollout's record
   */
  public void requireSupport(int[] ids) throws SoftLabelFormatException {
    if (ids.length != logprobs.length) {
      throw new SoftLabelFormatException(
          "Soft labels of "
              + logprobs.length
              + " support ids (the rollout has "
              + ids.length
              + ")");
    }
    if (checksum(ids) != supportChecksum) {
      throw new SoftLabelFormatException(
          "Soft labels of other support ids than the rollout's: checksum "
              + Integer.toHexString(supportChecksum)
              + " (expected: "
              + Integer.toHexString(checksum(ids))
              + ")");
    }
  }

  @Override
  public LabelEncoding encoding() {
    return LabelEncoding.SUPPORT;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SupportBlock that
        && rows == that.rows
        && k == that.k
        && supportChecksum == that.supportChecksum
        && Arrays.equals(logprobs, that.logprobs)
        && Arrays.equals(tailLogMass, that.tailLogMass)
        && Arrays.equals(tokenLogprobs, that.tokenLogprobs)
        && Arrays.equals(entropy, that.entropy);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(logprobs) + supportChecksum;
  }

  @Override
  public String toString() {
    return "SupportBlock[rows=" + rows + ", k=" + k + "]";
  }
}
