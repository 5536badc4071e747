package io.reflux.scorer.remote;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.Arrays;

/** SGLang's lists of triples, one list a position. */
final class Positions {
  private final Entries entries = new Entries();
  private int[] ends = new int[64];
  private int count;

  /** Reads the list that the parser stands on; null is an empty one. */
  void read(JsonParser json, String what, int index) throws IOException {
    if (json.currentToken() != JsonToken.VALUE_NULL) {
      String where = what + "[" + index + "]";
      JsonWalk.array(json, where, entry -> entries.read(json, where, entry));
    }
    if (count == ends.length) {
      ends = Arrays.copyOf(ends, 2 * count);
    }
    ends[count++] = entries.count();
  }

  int count() {
    return count;
  }

  int size(int position) {
    return ends[position] - start(position);
  }

  int[] ids(int position) {
    return entries.ids(start(position), ends[position]);
  }

  double[] logprobs(int position) {
    return entries.logprobs(start(position), ends[position]);
  }

  private int start(int position) {
    return position == 0 ? 0 : ends[position - 1];
  }
}
