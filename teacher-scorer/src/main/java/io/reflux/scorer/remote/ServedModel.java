package io.reflux.scorer.remote;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * An entry of {@code /v1/models}.
 *
 * @param id by which calls name it
 * @param root where its weights came from, "" where the server does not say
 * @param owner the kind of server, "" where it does not say
 * @param parent the model that this one is an adapter of, "" where it is none
 * @param longest tokens of prompt and answer; 0 where the server does not say
 */
record ServedModel(String id, String root, String owner, String parent, long longest) {

  /** Reads {@code /v1/models}. */
  static List<ServedModel> list(JsonParser json) throws IOException {
    List<ServedModel> models = new ArrayList<>();
    JsonWalk.next(json);
    JsonWalk.object(
        json,
        "models",
        name -> {
          if (name.equals("data")) {
            JsonWalk.array(json, "data", index -> models.add(read(json)));
          } else {
            json.skipChildren();
          }
        });
    return models;
  }

  private static ServedModel read(JsonParser json) throws IOException {
    String[] texts = {"", "", "", ""};
    long[] longest = {0};
    JsonWalk.object(
        json,
        "data[]",
        name -> {
          switch (name) {
            case "id" -> texts[0] = JsonWalk.text(json, name);
            case "root" -> texts[1] = JsonWalk.text(json, name);
            case "owned_by" -> texts[2] = JsonWalk.text(json, name);
            case "parent" -> texts[3] = JsonWalk.text(json, name);
            case "max_model_len" -> {
              if (json.currentToken() != JsonToken.VALUE_NULL) {
                // Where a tokenizer sets no limit, servers pass on its 1e30.
                longest[0] = (long) JsonWalk.number(json, name);
              }
            }
            default -> json.skipChildren();
          }
        });
    return new ServedModel(texts[0], texts[1], texts[2], texts[3], longest[0]);
  }

  /**
   * The one that is meant.
   *
   * @throws RefluxException if it is not served, or several are and none was named
   */
  static ServedModel choose(List<ServedModel> served, Optional<String> wanted) {
    List<String> names = served.stream().map(ServedModel::id).toList();
    if (wanted.isPresent()) {
      return served.stream()
          .filter(model -> model.id().equals(wanted.get()))
          .findFirst()
          .orElseThrow(
              () ->
                  new RefluxException(
                      "reflux.score.remote.model: "
                          + wanted.get()
                          + " (expected: what the server has: "
                          + String.join(", ", names)
                          + ")"));
    }
    if (served.size() != 1) {
      throw new RefluxException(
          "reflux.score.remote.model: missing (expected: one of the server's: "
              + String.join(", ", names)
              + ")");
    }
    return served.get(0);
  }
}
