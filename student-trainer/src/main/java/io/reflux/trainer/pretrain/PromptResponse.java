package io.reflux.trainer.pretrain;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.reflux.model.ModelException;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** One exchange to learn from. */
public record PromptResponse(String prompt, String response) {

  /**
   * Reads a JSONL file with {@code prompt} and {@code response} texts in every line; other members
   * and blank lines are passed over.
   *
   * @throws ModelException one line with the file, the line's number and what is wrong
   */
  public static List<PromptResponse> read(Path file) {
    ObjectMapper mapper = new ObjectMapper();
    List<PromptResponse> exchanges = new ArrayList<>();
    int number = 0;
    try (BufferedReader reader = Files.newBufferedReader(file)) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        number++;
        if (!line.isBlank()) {
          JsonNode json = mapper.readTree(line);
          exchanges.add(
              new PromptResponse(
                  text(json, "prompt", file, number), text(json, "response", file, number)));
        }
      }
    } catch (JsonProcessingException e) {
      throw new ModelException(
          "%s:%d: %s (expected: a JSON object)".formatted(file, number, e.getOriginalMessage()), e);
    } catch (NoSuchFileException e) {
      throw new ModelException(file + ": no such file (expected: a JSONL file)", e);
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be read: " + e.getMessage(), e);
    }
    return exchanges;
  }

  private static String text(JsonNode json, String name, Path file, int number) {
    JsonNode member = json.get(name);
    if (member == null || !member.isTextual()) {
      throw new ModelException(
          "%s:%d: %s: %s (expected: a text)".formatted(file, number, name, member));
    }
    return member.textValue();
  }
}
