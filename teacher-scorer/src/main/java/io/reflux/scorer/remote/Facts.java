package io.reflux.scorer.remote;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

/** Texts that a server tells of itself, of which no one is vital. */
final class Facts {
  static final String UNKNOWN = "unknown";

  private final Map<String, String> texts;

  private Facts(Map<String, String> texts) {
    this.texts = texts;
  }

  /** One of them, "unknown" where the server does not tell it. */
  String get(String name) {
    return texts.getOrDefault(name, UNKNOWN);
  }

  /** Top-level texts of an object; none where the server has no such page. */
  static CompletableFuture<Facts> of(TeacherHttp http, String path, String... names) {
    return http.get(path, json -> read(json, names))
        .result()
        .exceptionally(
            failure -> {
              ServerFault fault = TeacherHttp.faultOf(failure);
              if (fault.status() == 404) {
                return new Facts(Map.of());
              }
              throw fault;
            });
  }

  private static Facts read(JsonParser json, String... names) throws IOException {
    Map<String, String> texts = new HashMap<>();
    JsonWalk.next(json);
    JsonWalk.object(
        json,
        "facts",
        name -> {
          if (List.of(names).contains(name) && json.currentToken() == JsonToken.VALUE_STRING) {
            texts.put(name, json.getText());
          } else {
            json.skipChildren();
          }
        });
    return new Facts(texts);
  }
}
