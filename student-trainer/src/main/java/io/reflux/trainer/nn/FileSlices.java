package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Keeps the optimizer's tensors in a scratch file, so that memory holds a slice of each. Read and
 * written, not mapped: what is mapped counts as this process's memory while it is there.
 *
 * <p>The file is worth nothing without the process: it is written anew when one starts, its space
 * taken at once so that a full disk is met then, and a checksum a slice, kept here, tells what
 * another hand did to it.
 */
final class FileSlices implements SliceStore {
  static final String FILE_NAME = "optimizer-state.scratch";

  private static final int TENSORS = 2;

  private final Path file;
  private final FileChannel channel;
  private final List<NDArray> staged;
  private final List<ByteBuffer> bytes;
  private final long[] checksums;

  /**
   * Takes the space, and writes zeros.
   *
   * @param manager of the processor
   * @throws ModelException if there is no room, or somebody else uses the file
   */
  FileSlices(NDManager manager, Path directory, List<Slice> slices) {
    file = directory.resolve(FILE_NAME);
    channel = open(directory);
    int longest = slices.stream().mapToInt(Slice::length).max().orElse(1);
    staged = List.of(TorchArrays.zeros(manager, longest), TorchArrays.zeros(manager, longest));
    // Views of the tensors' own memory, which lives as long as the tensors do.
    bytes = staged.stream().map(tensor -> tensor.toByteBuffer(true)).toList();
    checksums = new long[TENSORS * slices.size()];
    try {
      slices.forEach(this::store);
    } catch (ModelException e) {
      close();
      throw e;
    }
  }

  private FileChannel open(Path directory) {
    try {
      Files.createDirectories(directory);
      FileChannel opened =
          FileChannel.open(
              file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
      if (!locked(opened)) {
        opened.close();
        throw new ModelException(
            "offload: %s (expected: a file that no other training uses)".formatted(file));
      }
      return opened;
    } catch (IOException e) {
      throw new ModelException(
          "offload: %s: %s (expected: a directory to write to)".formatted(file, reason(e)), e);
    }
  }

  private static boolean locked(FileChannel channel) throws IOException {
    try {
      return channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  @Override
  public List<NDArray> room(Slice slice) {
    return staged;
  }

  @Override
  public List<NDArray> load(Slice slice) {
    for (int i = 0; i < TENSORS; i++) {
      ByteBuffer buffer = window(i, slice);
      long position = position(i, slice);
      try {
        while (buffer.hasRemaining()) {
          int read = channel.read(buffer, position + buffer.position());
          if (read < 0) {
            throw lost(position + buffer.position());
          }
        }
      } catch (IOException e) {
        throw new ModelException(
            "offload: %s cannot be read: %s (expected: the optimizer's state)"
                .formatted(file, reason(e)),
            e);
      }
      if (checksum(buffer) != checksums[TENSORS * slice.index() + i]) {
        throw lost(position);
      }
    }
    return staged;
  }

  @Override
  public int at(Slice slice) {
    return 0;
  }

  @Override
  public void store(Slice slice) {
    for (int i = 0; i < TENSORS; i++) {
      ByteBuffer buffer = window(i, slice);
      long position = position(i, slice);
      try {
        while (buffer.hasRemaining()) {
          channel.write(buffer, position + buffer.position());
        }
      } catch (IOException e) {
        throw new ModelException(
            "offload: %s cannot be written: %s (expected: room for the optimizer's state)"
                .formatted(file, reason(e)),
            e);
      }
      checksums[TENSORS * slice.index() + i] = checksum(buffer);
    }
  }

  @Override
  public void close() {
    staged.forEach(NDArray::close);
    try (channel) {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      throw new ModelException(
          "offload: %s cannot be removed: %s (expected: a scratch file)".formatted(file, reason(e)),
          e);
    }
  }

  private ByteBuffer window(int tensor, Slice slice) {
    return bytes.get(tensor).duplicate().position(0).limit(Float.BYTES * slice.length());
  }

  private static long position(int tensor, Slice slice) {
    return (long) Float.BYTES * ((long) TENSORS * slice.start() + (long) tensor * slice.length());
  }

  private static long checksum(ByteBuffer buffer) {
    CRC32C checksum = new CRC32C();
    checksum.update(buffer.rewind());
    return checksum.getValue();
  }

  private ModelException lost(long position) {
    return new ModelException(
        "offload: %s is torn at byte %d (expected: what this training wrote there)"
            .formatted(file, position));
  }

  private static String reason(IOException e) {
    return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
  }
}
