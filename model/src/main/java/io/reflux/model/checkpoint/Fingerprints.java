package io.reflux.model.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** SHA-256 over tensors, the same whether they lie in memory, in one file or in shards. */
final class Fingerprints {
  private static final int CHUNK_FLOATS = 16 * 1024;

  private final MessageDigest digest = sha256();
  private final ByteBuffer chunk =
      ByteBuffer.allocate(CHUNK_FLOATS * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  /** Lengths come before contents, so that no two lists of tensors run together. */
  void begin(TensorInfo tensor) {
    text(tensor.name());
    text(tensor.dtype().name());
    number(tensor.shape().size());
    tensor.shape().forEach(this::number);
  }

  void bytes(byte[] bytes, int length) {
    digest.update(bytes, 0, length);
  }

  void floats(float[] floats) {
    for (int start = 0; start < floats.length; start += CHUNK_FLOATS) {
      int count = Math.min(CHUNK_FLOATS, floats.length - start);
      chunk.clear();
      chunk.asFloatBuffer().put(floats, start, count);
      digest.update(chunk.array(), 0, count * Float.BYTES);
    }
  }

  void matrix(QuantisedMatrix matrix) {
    digest.update(matrix.values());
    // Of FP8 the columns say the block size, and not how many scales there are.
    number(matrix.format() == WeightFormat.FP8 ? matrix.scales().length : matrix.blockSize());
    floats(matrix.scales());
  }

  String finish() {
    return HexFormat.of().formatHex(digest.digest());
  }

  private void text(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    number(bytes.length);
    digest.update(bytes);
  }

  private void number(long number) {
    digest.update(
        ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).putLong(0, number));
  }
}
