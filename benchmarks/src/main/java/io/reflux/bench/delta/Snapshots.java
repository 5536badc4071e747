package io.reflux.bench.delta;

import io.reflux.snapshots.delta.DeltaException;
import io.reflux.snapshots.delta.FileDelta;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.stream.Stream;

/** Two snapshots, one after the other. */
final class Snapshots {
  private Snapshots() {}

  /**
   * What the later one takes.
   *
   * @param fullBytes of all its files
   * @param weightBytes of those that changed
   * @param deltaBytes of the blocks that the changed ones travel as
   * @param encodeSeconds to make them
   * @param rebuildSeconds to make the files of them again
   */
  record Delta(
      long fullBytes,
      long weightBytes,
      long deltaBytes,
      double encodeSeconds,
      double rebuildSeconds) {
    double ratio() {
      return (double) deltaBytes / fullBytes;
    }

    double weightRatio() {
      return weightBytes == 0 ? 0 : (double) deltaBytes / weightBytes;
    }
  }

  /**
   * Codes the later one and rebuilds it.
   *
   * @throws IOException also when a rebuilt file differs in a bit
   */
  static Delta delta(Path before, Path after) throws IOException, DeltaException {
    long full = 0;
    long weights = 0;
    long delta = 0;
    double encoding = 0;
    double rebuilding = 0;
    for (Path file : files(after)) {
      long size = Files.size(file);
      full += size;
      Path base = before.resolve(after.relativize(file).toString());
      if (Files.exists(base) && Files.mismatch(base, file) < 0) {
        // It is there already under its own name.
        continue;
      }
      weights += size;
      if (!Files.exists(base)) {
        delta += size;
        continue;
      }
      byte[] sha256 = sha256(Files.readAllBytes(base));
      List<byte[]> blocks = new ArrayList<>();
      long began = System.nanoTime();
      FileDelta.encode(base, sha256, file, blocks::add);
      long encoded = System.nanoTime();
      ByteArrayOutputStream rebuilt = new ByteArrayOutputStream();
      Iterator<byte[]> each = blocks.iterator();
      FileDelta.decode(base, sha256, blocks.size(), each::next, size, rebuilt);
      rebuilding += (System.nanoTime() - encoded) / 1e9;
      encoding += (encoded - began) / 1e9;
      delta += blocks.stream().mapToLong(block -> block.length).sum();
      if (!Arrays.equals(rebuilt.toByteArray(), Files.readAllBytes(file))) {
        throw new IOException(file + ": rebuilt otherwise (expected: the same bits)");
      }
    }
    return new Delta(full, weights, delta, encoding, rebuilding);
  }

  private static List<Path> files(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.filter(Files::isRegularFile).sorted().toList();
    }
  }

  private static byte[] sha256(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }
}
