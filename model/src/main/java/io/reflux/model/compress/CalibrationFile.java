package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.compress.CalibrationSums.Sum;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;

/**
 * Calibration sums in a file: a magic number, the format's version, tokens, the sums (names, width,
 * lower triangle row by row, float32), and SHA-256 over all of it; big-endian.
 */
final class CalibrationFile {
  private static final int MAGIC = 0x5246_4C43; // RFLC
  private static final int VERSION = 1;
  private static final int DIGEST_BYTES = 32;
  private static final int CHUNK_BYTES = 64 * 1024;

  private CalibrationFile() {}

  static void write(Path file, CalibrationSums sums) {
    Path partial = file.resolveSibling(file.getFileName() + ".partial");
    try {
      try (DigestOutputStream hashed =
              new DigestOutputStream(
                  new BufferedOutputStream(Files.newOutputStream(partial)), sha256());
          DataOutputStream out = new DataOutputStream(hashed)) {
        out.writeInt(MAGIC);
        out.writeInt(VERSION);
        out.writeDouble(sums.tokens());
        out.writeInt(sums.sums().size());
        for (Sum sum : sums.sums()) {
          write(out, sum);
        }
        byte[] digest = hashed.getMessageDigest().digest();
        hashed.on(false);
        out.write(digest);
      }
      Files.move(
          partial, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  static CalibrationSums read(Path file) {
    try {
      verify(file);
      return parse(file);
    } catch (NoSuchFileException e) {
      throw new ModelException(file + ": no such file", e);
    } catch (EOFException e) {
      throw damaged(file, e);
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** Before anything is parsed: a wrong width must not take all memory. */
  private static void verify(Path file) throws IOException {
    try (DataInputStream in = open(file)) {
      if (in.readInt() != MAGIC) {
        throw new ModelException(
            file + ": not calibration sums (expected: a file that was saved as such)");
      }
      int version = in.readInt();
      if (version != VERSION) {
        throw new ModelException(
            "%s: calibration format %d (expected: %d)".formatted(file, version, VERSION));
      }
    }
    MessageDigest digest = sha256();
    try (DataInputStream in = open(file)) {
      long left = Files.size(file) - DIGEST_BYTES;
      byte[] chunk = new byte[CHUNK_BYTES];
      while (left > 0) {
        int count = (int) Math.min(chunk.length, left);
        in.readFully(chunk, 0, count);
        digest.update(chunk, 0, count);
        left -= count;
      }
      if (!MessageDigest.isEqual(digest.digest(), in.readAllBytes())) {
        throw damaged(file, null);
      }
    }
  }

  private static CalibrationSums parse(Path file) throws IOException {
    try (DataInputStream in = open(file)) {
      in.skipNBytes(2 * Integer.BYTES);
      double tokens = in.readDouble();
      int count = in.readInt();
      List<Sum> sums = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        sums.add(readSum(in));
      }
      return new CalibrationSums(tokens, sums);
    }
  }

  private static DataInputStream open(Path file) throws IOException {
    return new DataInputStream(new BufferedInputStream(Files.newInputStream(file)));
  }

  private static void write(DataOutputStream out, Sum sum) throws IOException {
    out.writeShort(sum.matrices().size());
    for (String matrix : sum.matrices()) {
      out.writeUTF(matrix);
    }
    out.writeInt(sum.width());
    ByteBuffer row = ByteBuffer.allocate(sum.width() * Float.BYTES);
    for (int i = 0; i < sum.width(); i++) {
      row.clear();
      for (int j = 0; j <= i; j++) {
        row.putFloat(sum.values()[i * sum.width() + j]);
      }
      out.write(row.array(), 0, row.position());
    }
  }

  private static Sum readSum(DataInputStream in) throws IOException {
    int names = in.readUnsignedShort();
    List<String> matrices = new ArrayList<>();
    for (int i = 0; i < names; i++) {
      matrices.add(in.readUTF());
    }
    int width = in.readInt();
    float[] values = new float[Math.multiplyExact(width, width)];
    ByteBuffer row = ByteBuffer.allocate(width * Float.BYTES);
    for (int i = 0; i < width; i++) {
      in.readFully(row.array(), 0, (i + 1) * Float.BYTES);
      for (int j = 0; j <= i; j++) {
        float value = row.getFloat(j * Float.BYTES);
        values[i * width + j] = value;
        values[j * width + i] = value;
      }
    }
    return new Sum(matrices, width, values);
  }

  private static ModelException damaged(Path file, IOException cause) {
    return new ModelException(
        file + ": damaged (expected: what was written, to its checksum)", cause);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
