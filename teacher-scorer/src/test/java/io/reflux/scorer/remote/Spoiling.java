package io.reflux.scorer.remote;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A good answer, and how it is made wrong: always at its last position. */
final class Spoiling {
  private static final int NOWHERE = 1_000_000;

  private final RemoteApi api;
  private final ObjectNode body;

  Spoiling(RemoteApi api, ObjectNode body) {
    this.api = api;
    this.body = body;
  }

  ObjectNode body() {
    return body;
  }

  byte[] bytes() {
    return body.toString().getBytes(StandardCharsets.UTF_8);
  }

  ObjectNode spoilt(Fault fault) {
    if (api == RemoteApi.VLLM) {
      vllm(fault);
    } else {
      sglang(fault);
    }
    return body;
  }

  private void vllm(Fault fault) {
    ObjectNode choice = (ObjectNode) body.get("choices").get(0);
    ArrayNode positions = (ArrayNode) choice.get("prompt_logprobs");
    ObjectNode last = (ObjectNode) positions.get(positions.size() - 1);
    // The first is the standing token, without which an answer fails for that.
    List<String> ids = new ArrayList<>();
    last.fieldNames().forEachRemaining(ids::add);
    String id = ids.get(ids.size() - 1);
    ObjectNode entry = (ObjectNode) last.get(id);
    switch (fault) {
      case WRONG_ECHO -> choice.set("prompt_token_ids", turned(choice.get("prompt_token_ids")));
      case TOO_FEW -> last.remove(id);
      case MISSING_POSITION -> positions.remove(positions.size() - 1);
      case NULL_POSITION -> positions.setNull(positions.size() - 1);
      case SUM_ABOVE_ONE -> last.forEach(each -> ((ObjectNode) each).put("logprob", Math.log(0.5)));
      case NOT_A_NUMBER -> entry.put("logprob", "NaN");
      case POSITIVE -> entry.put("logprob", 0.25);
      case TEXT_FOR_ID -> last.set("Ġthe", last.remove(id));
      case OUTSIDE_VOCABULARY -> last.set(Integer.toString(NOWHERE), last.remove(id));
      case REPEATED -> last.set("0" + ids.get(1), last.remove(id));
      case OTHER_MODEL -> body.put("model", "another");
      default -> throw new AssertionError(fault);
    }
  }

  private void sglang(Fault fault) {
    ObjectNode meta = (ObjectNode) body.get("meta_info");
    ArrayNode tops = (ArrayNode) meta.get("input_top_logprobs");
    ArrayNode last = (ArrayNode) tops.get(tops.size() - 1);
    ArrayNode entry = (ArrayNode) last.get(last.size() - 1);
    ArrayNode tokens = (ArrayNode) meta.get("input_token_logprobs");
    ArrayNode token = (ArrayNode) tokens.get(tokens.size() - 1);
    switch (fault) {
      case WRONG_ECHO -> token.set(1, token.get(1).asInt() + 1);
      case TOO_FEW -> last.remove(last.size() - 1);
      case MISSING_POSITION -> tops.remove(tops.size() - 1);
      case NULL_POSITION -> tops.setNull(tops.size() - 1);
      case SUM_ABOVE_ONE -> {
        last.forEach(each -> ((ArrayNode) each).set(0, Math.log(0.5)));
        token.set(0, Math.log(0.5));
      }
      case NOT_A_NUMBER -> entry.setNull(0);
      case POSITIVE -> entry.set(0, 0.25);
      case TEXT_FOR_ID -> entry.set(1, "the");
      case OUTSIDE_VOCABULARY -> entry.set(1, NOWHERE);
      case REPEATED -> entry.set(1, last.get(0).get(1));
      case OTHER_MODEL -> meta.put("prompt_tokens", 1);
      default -> throw new AssertionError(fault);
    }
  }

  private static JsonNode turned(JsonNode ids) {
    ArrayNode turned = ids.deepCopy();
    turned.set(0, ids.get(0).asInt() + 1);
    return turned;
  }
}
