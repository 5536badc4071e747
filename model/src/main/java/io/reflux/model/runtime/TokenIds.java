package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;

/** Keeps ids that no embedding exists for away from native code. */
final class TokenIds {
  private TokenIds() {}

  static void check(String name, int[] ids, ModelConfig config) {
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] < 0 || ids[i] >= config.vocabularySize()) {
        throw new ModelException(
            "%s: %d at %d (expected: 0 to %d)"
                .formatted(name, ids[i], i, config.vocabularySize() - 1));
      }
    }
  }
}
