package io.reflux.trainer.watch;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;

/**
 * A CSV file of a run that only grows at its end. What a kill left half written, and rows of steps
 * that a resumed run does again, are cut off when it is opened; nothing before them is touched.
 */
final class AppendedFile implements Closeable {
  /** The column that says what a resumed run does again. */
  static final String STEP = "step";

  private final FileChannel channel;
  private long end;

  private AppendedFile(FileChannel channel, long end) {
    this.channel = channel;
    this.end = end;
  }

  /**
   * Opens a file, and writes the header if it is new. One with another header is kept beside under
   * a number, and a new one is begun.
   *
   * @param header the columns, one of them {@link #STEP}
   * @param lastStep rows of later steps are cut off
   */
  static AppendedFile open(Path file, List<String> header, long lastStep) throws IOException {
    if (Files.exists(file)) {
      List<String> found = header(file);
      cut(file, endOf(file, found.indexOf(STEP), lastStep));
      if (!found.equals(header) && Files.size(file) > 0) {
        Files.move(file, unused(file));
      }
    }
    FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    AppendedFile opened = new AppendedFile(channel, channel.size());
    boolean complete = false;
    try {
      if (opened.end == 0) {
        opened.append(Csv.line(header));
      }
      complete = true;
      return opened;
    } finally {
      if (!complete) {
        channel.close();
      }
    }
  }

  /**
   * Adds lines.
   *
   * @throws IOException if not all of it was written; the next call takes its place
   */
  void append(String lines) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(lines.getBytes(StandardCharsets.UTF_8));
    long at = end;
    while (bytes.hasRemaining()) {
      at += channel.write(bytes, at);
    }
    end = at;
  }

  @Override
  public void close() throws IOException {
    // Half a line may stand there after a full disk.
    channel.truncate(end);
    channel.close();
  }

  /** Where the first line begins that is torn, or of a later step. */
  private static long endOf(Path file, int stepColumn, long lastStep) throws IOException {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
      long end = 0;
      boolean header = true;
      while (true) {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        int next = in.read();
        while (next >= 0 && next != '\n') {
          line.write(next);
          next = in.read();
        }
        if (next < 0 || (!header && !isUpTo(line, stepColumn, lastStep))) {
          return end;
        }
        header = false;
        end += line.size() + 1;
      }
    }
  }

  private static boolean isUpTo(ByteArrayOutputStream line, int stepColumn, long lastStep) {
    List<String> values = Csv.parse(line.toString(StandardCharsets.UTF_8));
    if (stepColumn < 0 || values.size() <= stepColumn) {
      return false;
    }
    try {
      return Long.parseLong(values.get(stepColumn)) <= lastStep;
    } catch (NumberFormatException e) {
      // Blocks that never reached the disk read as zeros after a power cut.
      return false;
    }
  }

  private static List<String> header(Path file) throws IOException {
    try (var lines = Files.newBufferedReader(file, StandardCharsets.ISO_8859_1)) {
      String first = lines.readLine();
      return first == null ? List.of() : Csv.parse(first);
    }
  }

  private static void cut(Path file, long end) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(end);
    }
  }

  private static Path unused(Path file) {
    String name = file.getFileName().toString().replaceFirst("\\.csv$", "");
    int number = 1;
    Path candidate = file.resolveSibling(name + "-" + number + ".csv");
    while (Files.exists(candidate)) {
      number++;
      candidate = file.resolveSibling(name + "-" + number + ".csv");
    }
    return candidate;
  }
}
