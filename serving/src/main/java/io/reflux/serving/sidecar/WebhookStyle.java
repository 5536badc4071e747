package io.reflux.serving.sidecar;

import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** What runtimes want to be asked for other weights. */
public enum WebhookStyle {
  /** One call of the address itself. */
  PLAIN,

  /**
   * SGLang: {@code POST /update_weights_from_disk}. It answers 400 and keeps its weights where it
   * cannot load them, and forgets its prefix cache where it can.
   */
  SGLANG,

  /**
   * vLLM, started with {@code VLLM_SERVER_DEV_MODE=1} on the folder's {@code current}: {@code POST
   * /collective_rpc} with {@code reload_weights}, which reads that path again, then {@code POST
   * /reset_prefix_cache}, for what is cached is of the old weights.
   */
  VLLM;

  private static final String ALL =
      "{\"channel\": \"{channel}\", \"version\": {version}, \"path\": \"{path}\","
          + " \"current\": \"{current}\", \"format\": \"{format}\","
          + " \"student_fingerprint\": \"{fingerprint}\"}";

  /**
   * One call of several.
   *
   * @param path behind the address
   * @param body with names in braces; empty for none
   */
  record Call(String method, String path, String body) {}

  /** The calls, in their order. */
  List<Call> calls(String method, Optional<String> body) {
    return switch (this) {
      case PLAIN -> List.of(new Call(method, "", body.orElse(ALL)));
      case SGLANG ->
          List.of(
              new Call(
                  "POST",
                  "/update_weights_from_disk",
                  "{\"model_path\": \"{path}\", \"weight_version\": \"{version}\"}"));
      case VLLM ->
          List.of(
              new Call("POST", "/collective_rpc", "{\"method\": \"reload_weights\"}"),
              new Call("POST", "/reset_prefix_cache", ""));
    };
  }

  /** As it is configured. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
