package io.reflux.snapshots.delta;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** A whole file as blocks of differences from another one, a block a stretch, in their order. */
public final class FileDelta {
  private FileDelta() {}

  /** Takes blocks, or gives them. */
  public interface Sink {
    /** The next block. */
    void accept(byte[] block) throws IOException;
  }

  /** Gives blocks in their order. */
  public interface Source {
    /** The next block. */
    byte[] next() throws IOException;
  }

  /**
   * Codes a file. No more than a few stretches are in memory.
   *
   * @param baseSha256 of the base, 32 bytes
   */
  public static void encode(Path base, byte[] baseSha256, Path file, Sink blocks)
      throws IOException {
    try (InputStream old = open(base);
        InputStream now = open(file)) {
      byte[] stretch = now.readNBytes(DeltaBlock.MAX_STRETCH_BYTES);
      while (stretch.length > 0) {
        byte[] before = old.readNBytes(DeltaBlock.MAX_STRETCH_BYTES);
        blocks.accept(DeltaBlock.encode(before, baseSha256, stretch));
        stretch = now.readNBytes(DeltaBlock.MAX_STRETCH_BYTES);
      }
    }
  }

  /**
   * Rebuilds a file.
   *
   * @param count of blocks
   * @param most bytes that the file may have
   * @throws DeltaException naming the block that is not what it should be
   */
  public static void decode(
      Path base, byte[] baseSha256, int count, Source blocks, long most, OutputStream file)
      throws IOException, DeltaException {
    long written = 0;
    try (InputStream old = open(base)) {
      for (int i = 0; i < count; i++) {
        byte[] before = old.readNBytes(DeltaBlock.MAX_STRETCH_BYTES);
        byte[] stretch;
        try {
          stretch = DeltaBlock.decode(before, baseSha256, blocks.next());
        } catch (DeltaException e) {
          throw new DeltaException("block " + i + " of " + count + ": " + e.getMessage());
        }
        written += stretch.length;
        if (written > most) {
          throw new DeltaException(
              "block "
                  + i
                  + " of "
                  + count
                  + ": reaches to byte "
                  + written
                  + " (expected: at most "
                  + most
                  + ")");
        }
        file.write(stretch);
      }
    }
  }

  private static InputStream open(Path file) throws IOException {
    return new BufferedInputStream(Files.newInputStream(file));
  }
}
