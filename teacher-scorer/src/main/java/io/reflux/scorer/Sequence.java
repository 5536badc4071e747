package io.reflux.scorer;

import io.reflux.schemas.avro.Origin;

/**
 * What the teacher is to label: everything after the prompt.
 *
 * @param tokenIds prompt and response
 * @param promptLength how many of them are the prompt, at least 1 and fewer than all
 * @param origin who wrote the response
 * @param truncated whether it was cut at the limit
 */
record Sequence(int[] tokenIds, int promptLength, Origin origin, boolean truncated) {
  int length() {
    return tokenIds.length;
  }

  int rows() {
    return tokenIds.length - promptLength;
  }
}
