package io.reflux.producers;

import io.reflux.schemas.service.RefluxException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The prompts of a file that {@link TrafficReplay} replays. */
public final class PromptFile {
  private PromptFile() {}

  /**
   * Reads every line's prompt, or the last message of its chat; lines that the replay would skip as
   * bad are skipped here too.
   *
   * @throws RefluxException if the file cannot be read
   */
  public static List<String> read(Path file) {
    List<String> prompts = new ArrayList<>();
    try (BufferedReader reader = Files.newBufferedReader(file)) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        if (!line.isBlank()) {
          add(prompts, line);
        }
      }
    } catch (IOException e) {
      throw new RefluxException(
          file + ": cannot be read: " + e.getMessage() + " (expected: a JSONL file)", e);
    }
    return prompts;
  }

  private static void add(List<String> prompts, String line) {
    MirrorRequest request;
    try {
      request = RequestJson.line(line, false);
    } catch (BadRequestException e) {
      return; // the replay counts and reports it, with its number
    }
    prompts.add(text(request));
  }

  /** What a request asks: its prompt, or the last message of its chat. */
  static String text(MirrorRequest request) {
    return request
        .prompt()
        .orElseGet(() -> request.messages().get(request.messages().size() - 1).content());
  }
}
