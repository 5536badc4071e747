package io.reflux.scorer.remote;

import io.reflux.schemas.service.RefluxException;
import java.util.Locale;

/** The kinds of server that can be asked. */
public enum RemoteApi {
  VLLM,
  SGLANG;

  /**
   * By its name in lower case.
   *
   * @throws RefluxException if there is none of that name
   */
  public static RemoteApi parse(String name) {
    for (RemoteApi api : values()) {
      if (api.key().equals(name)) {
        return api;
      }
    }
    throw new RefluxException("reflux.score.remote.api: " + name + " (expected: vllm or sglang)");
  }

  /** Its name in the configuration. */
  String key() {
    return name().toLowerCase(Locale.ROOT);
  }
}
