package io.reflux.trainer.watch;

import com.linecorp.armeria.common.MediaType;
import io.reflux.operations.WebPages;
import java.util.function.Supplier;

/** The trainer's page, and {@code /api/run}, the JSON that it is drawn from. */
public final class TrainerPage {
  private TrainerPage() {}

  /**
   * Adds them to a server.
   *
   * @param runs asked at each request
   */
  public static void add(WebPages pages, Supplier<RunView> runs) {
    pages
        .file("/", TrainerPage.class, "index.html")
        .file("/train.js", TrainerPage.class, "train.js")
        .file("/train.css", TrainerPage.class, "train.css")
        .text("/api/run", MediaType.JSON_UTF_8, () -> RunJson.of(runs.get()));
  }
}
