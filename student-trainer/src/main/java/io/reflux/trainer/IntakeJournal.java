package io.reflux.trainer;

import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What was taken in before each step since the last checkpoint, in which order, appended before the
 * step runs. Whoever resumes from the checkpoint takes in the same records in the same order, and
 * so redoes the same steps to the bit, however the records arrived.
 *
 * <p>One file a checkpoint, of the steps after it. Each line ends in its CRC-32C; a torn last line
 * is as good as none, as its step has not run. Lines are not synced one by one: a kill of the
 * process loses none, and what a power failure loses are steps that nothing outside knows of.
 */
final class IntakeJournal implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(IntakeJournal.class);
  private static final String PREFIX = "intake-";
  private static final String SUFFIX = ".journal";
  private static final String MAGIC = "reflux-intake-1";
  private static final String STEP = "step";
  private static final String REST = "rest";

  private final Path directory;
  private List<String> names = List.of();
  private FileChannel file;
  private long length;

  /**
   * Records of one partition, one after another.
   *
   * @param partition {@code topic-partition}
   * @param next offset after the last of them
   */
  record Run(String partition, long next) {}

  /**
   * What was taken in.
   *
   * @param step that followed, counted from 1; 0 if a checkpoint followed
   */
  record Entry(long step, List<Run> runs) {}

  private record Contents(
      long step, Map<String, Long> from, List<String> names, List<Entry> entries, long length) {}

  IntakeJournal(Path directory) {
    this.directory = directory;
  }

  /**
   * Finds what was done after a checkpoint, and makes ready to go on after it.
   *
   * @param checkpoint its number; 0 for the start of all
   * @param step that it has
   * @param from next offsets by partition that it has
   * @return in order; of a checkpoint that later ones could not be read of, what was done after
   *     those too
   */
  List<Entry> resume(long checkpoint, long step, Map<String, Long> from) {
    List<Entry> entries = new ArrayList<>();
    Map<String, Long> reached = new HashMap<>(from);
    long reachedStep = step;
    long last = -1;
    Contents newest = null;
    for (long number : numbers()) {
      if (number < checkpoint) {
        continue;
      }
      Contents contents = read(number);
      // A partition that is new since then has nothing that was taken in.
      boolean goesOn =
          (number == checkpoint || last >= 0)
              && contents != null
              && contents.step() == reachedStep
              && reached.entrySet().containsAll(contents.from().entrySet());
      if (!goesOn) {
        // Left where it is, it might seem to go on from steps that are yet to be done.
        setAside(number);
        continue;
      }
      for (Entry entry : contents.entries()) {
        entry.runs().forEach(run -> reached.put(run.partition(), run.next()));
        reachedStep = Math.max(reachedStep, entry.step());
      }
      entries.addAll(contents.entries());
      last = number;
      newest = contents;
    }
    if (newest == null) {
      begin(checkpoint, step, from);
    } else {
      continueFile(last, newest);
    }
    return entries;
  }

  /**
   * A checkpoint has been written: what comes goes into a file of its own.
   *
   * @return whether it could be made; until the next checkpoint nothing is kept otherwise
   */
  boolean begin(long checkpoint, long step, Map<String, Long> from) {
    close();
    names = List.copyOf(new TreeMap<>(from).keySet());
    StringBuilder line = new StringBuilder(MAGIC).append(' ').append(step);
    for (String name : names) {
      line.append(' ').append(name).append(':').append(from.get(name));
    }
    try {
      file =
          FileChannel.open(
              path(checkpoint),
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE);
      length = 0;
    } catch (IOException e) {
      failed(e);
      return false;
    }
    return write(line);
  }

  /**
   * Notes what was taken in, before the step runs.
   *
   * @param step that follows; 0 if a checkpoint does
   * @return whether it is noted; if not, nothing more is until the next checkpoint
   */
  boolean append(long step, List<Run> runs) {
    if (file == null) {
      return false;
    }
    StringBuilder line = new StringBuilder();
    if (step > 0) {
      line.append(STEP).append(' ').append(step);
    } else {
      line.append(REST);
    }
    for (Run run : runs) {
      int index = names.indexOf(run.partition());
      line.append(' ').append(index < 0 ? run.partition() : Integer.toString(index));
      line.append(':').append(run.next());
    }
    return write(line);
  }

  /** Lets go of files that no checkpoint that is kept goes on with. */
  void prune(long oldestCheckpoint) {
    for (long number : numbers()) {
      if (number < oldestCheckpoint) {
        try {
          Files.deleteIfExists(path(number));
        } catch (IOException e) {
          log.warn("{} cannot be deleted: {}", path(number), e.getMessage());
        }
      }
    }
  }

  @Override
  public void close() {
    if (file == null) {
      return;
    }
    try {
      file.close();
    } catch (IOException e) {
      log.warn("Journal of what was taken in, in {}: {}", directory, e.getMessage());
    }
    file = null;
  }

  private boolean write(StringBuilder line) {
    byte[] content = line.toString().getBytes(StandardCharsets.UTF_8);
    String end = " #%08x\n".formatted(crc(content));
    ByteBuffer bytes = StandardCharsets.UTF_8.encode(line + end);
    int size = bytes.remaining();
    try {
      while (bytes.hasRemaining()) {
        file.write(bytes, length + size - bytes.remaining());
      }
      length += size;
      return true;
    } catch (IOException e) {
      failed(e);
      return false;
    }
  }

  /** A gap in what is noted would be worse than an end. */
  private void failed(IOException cause) {
    log.error(
        "What is taken in cannot be noted in {} until the next checkpoint; steps until then may be redone otherwise after a kill: {}",
        directory,
        cause.getMessage());
    close();
  }

  private void continueFile(long number, Contents contents) {
    names = contents.names();
    length = contents.length();
    try {
      file = FileChannel.open(path(number), StandardOpenOption.WRITE);
      // What is torn must not be taken for the beginning of the next line.
      file.truncate(length);
    } catch (IOException e) {
      failed(e);
    }
  }

  /** Null if there is no whole first line. */
  private Contents read(long number) {
    byte[] bytes;
    try {
      bytes = Files.readAllBytes(path(number));
    } catch (NoSuchFileException e) {
      return null;
    } catch (IOException e) {
      throw new RefluxException(
          "reflux.train.data-dir: " + path(number) + " cannot be read: " + e.getMessage(), e);
    }
    Contents contents = null;
    int start = 0;
    for (int end = 0; end < bytes.length; end++) {
      if (bytes[end] != '\n') {
        continue;
      }
      String line = new String(bytes, start, end - start, StandardCharsets.UTF_8);
      int mark = line.lastIndexOf(" #");
      if (mark < 0
          || !line.substring(mark + 2)
              .equals(
                  "%08x"
                      .formatted(crc(line.substring(0, mark).getBytes(StandardCharsets.UTF_8))))) {
        log.error(
            "{}: damaged at byte {}; what follows is not redone as it was", path(number), start);
        return contents;
      }
      contents = parse(line.substring(0, mark).split(" ", -1), contents, end + 1);
      if (contents == null) {
        return null;
      }
      start = end + 1;
    }
    return contents;
  }

  /** With one more line; null if the first one is of something else. */
  private static Contents parse(String[] words, Contents before, long length) {
    if (before == null) {
      if (!words[0].equals(MAGIC)) {
        return null;
      }
      Map<String, Long> from = new TreeMap<>();
      for (Run run : runs(words, 2, List.of())) {
        from.put(run.partition(), run.next());
      }
      return new Contents(
          Long.parseLong(words[1]), from, List.copyOf(from.keySet()), new ArrayList<>(), length);
    }
    boolean step = words[0].equals(STEP);
    before
        .entries()
        .add(
            new Entry(
                step ? Long.parseLong(words[1]) : 0, runs(words, step ? 2 : 1, before.names())));
    return new Contents(before.step(), before.from(), before.names(), before.entries(), length);
  }

  private static List<Run> runs(String[] words, int first, List<String> names) {
    List<Run> runs = new ArrayList<>();
    for (int i = first; i < words.length; i++) {
      int colon = words[i].lastIndexOf(':');
      String name = words[i].substring(0, colon);
      // A partition's name has a dash; an index has none.
      String partition = name.indexOf('-') < 0 ? names.get(Integer.parseInt(name)) : name;
      runs.add(new Run(partition, Long.parseLong(words[i].substring(colon + 1))));
    }
    return runs;
  }

  private void setAside(long number) {
    Path path = path(number);
    log.error("{} does not go on from the checkpoint that is resumed, and is set aside", path);
    try {
      Files.move(
          path,
          path.resolveSibling(path.getFileName() + ".unused"),
          StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new RefluxException(
          "reflux.train.data-dir: " + path + " cannot be set aside: " + e.getMessage(), e);
    }
  }

  private List<Long> numbers() {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries
          .map(path -> path.getFileName().toString())
          .filter(name -> name.matches(PREFIX + "\\d{12}" + SUFFIX))
          .map(
              name ->
                  Long.parseLong(name.substring(PREFIX.length(), name.length() - SUFFIX.length())))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new RefluxException(
          "reflux.train.data-dir: " + directory + " cannot be read: " + e.getMessage(), e);
    }
  }

  private Path path(long number) {
    return directory.resolve(PREFIX + "%012d".formatted(number) + SUFFIX);
  }

  private static int crc(byte[] bytes) {
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    return (int) crc.getValue();
  }
}
