package io.reflux.scorer.remote;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.Arrays;

/** SGLang's triples of log-prob, token id and text, of which the text is left out. */
final class Entries {
  private int[] ids = new int[64];
  private double[] logprobs = new double[64];
  private int count;

  /** Reads the triple that the parser stands on. */
  void read(JsonParser json, String what, int index) throws IOException {
    if (count == ids.length) {
      ids = Arrays.copyOf(ids, 2 * count);
      logprobs = Arrays.copyOf(logprobs, 2 * count);
    }
    String where = what + "[" + index + "]";
    int parts =
        JsonWalk.array(
            json,
            where,
            part -> {
              switch (part) {
                case 0 ->
                    logprobs[count] =
                        // NaN and the infinities come as null too; who uses it finds out.
                        json.currentToken() == JsonToken.VALUE_NULL
                            ? Double.NaN
                            : JsonWalk.number(json, where);
                case 1 -> ids[count] = JsonWalk.id(json, where);
                default -> json.skipChildren();
              }
            });
    if (parts < 2) {
      throw ServerFault.wrong(where + ": " + parts + " parts (expected: log-prob, id, text)");
    }
    count++;
  }

  int count() {
    return count;
  }

  int id(int index) {
    return ids[index];
  }

  /** NaN where the server told none. */
  double logprob(int index) {
    return logprobs[index];
  }

  int[] ids(int from, int to) {
    return Arrays.copyOfRange(ids, from, to);
  }

  double[] logprobs(int from, int to) {
    return Arrays.copyOfRange(logprobs, from, to);
  }
}
