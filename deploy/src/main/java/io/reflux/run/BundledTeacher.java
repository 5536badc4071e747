package io.reflux.run;

import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/** The small teacher in the jar; docs/ML_ENGINEERS.md has the commands that made it. */
public final class BundledTeacher {
  private static final String FOLDER = "/teacher/";
  private static final List<String> FILES =
      List.of("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json");

  private BundledTeacher() {}

  /** Unpacks it into a folder, where it becomes an ordinary Hugging Face directory. */
  public static Path unpack(Path folder) {
    try {
      Files.createDirectories(folder);
      for (String name : FILES) {
        try (InputStream in = BundledTeacher.class.getResourceAsStream(FOLDER + name)) {
          if (in == null) {
            throw new RefluxException("bundled teacher: " + name + " is not in this build");
          }
          Files.copy(in, folder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
        }
      }
      return folder;
    } catch (IOException e) {
      throw new RefluxException("bundled teacher: " + folder + ": " + e.getMessage(), e);
    }
  }
}
