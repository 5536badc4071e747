package io.reflux.scorer.remote;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.ModelText;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/** What a real model says, in the words of either server. */
final class ServedScores {
  private final Scorer scorer;
  private final GenerationEngine engine;
  private final ModelText text;

  /**
   * @param scorer that tells the whole vocabulary
   */
  ServedScores(Scorer scorer, GenerationEngine engine, ModelText text) {
    this.scorer = scorer;
    this.engine = engine;
    this.text = text;
  }

  private Scores scores(int[] ids, int first) {
    return scorer.score(List.of(ScoreRequest.of(ids, first))).get(0);
  }

  private int[] generate(int[] prompt, int max, JsonNode sampling, Set<Integer> stops) {
    double temperature = sampling.path("temperature").asDouble(1);
    SamplingOptions options =
        temperature == 0
            ? SamplingOptions.GREEDY
            : new SamplingOptions(temperature, 1, 0, sampling.path("seed").asLong());
    Generation generation =
        engine.submit(new GenerationRequest(prompt, max, options, stops, 0), null).result().join();
    return generation.tokenIds();
  }

  private static Set<Integer> stops(JsonNode ids) {
    return Arrays.stream(TeacherServer.JSON.convertValue(ids, int[].class))
        .boxed()
        .collect(Collectors.toSet());
  }

  ObjectNode vllm(JsonNode body, int[] ids, String model) {
    boolean scoring = body.has("prompt_logprobs");
    Set<Integer> stops = scoring ? Set.of() : stops(body.get("stop_token_ids"));
    int[] out = generate(ids, body.get("max_tokens").asInt(), body, stops);
    boolean stopped = stops.contains(out[out.length - 1]);

    ObjectNode answer = TeacherServer.JSON.createObjectNode();
    answer.put("id", "cmpl-1").put("object", "text_completion").put("created", 1);
    answer.put("model", model);
    ObjectNode choice = answer.putArray("choices").addObject();
    choice.put("index", 0).put("text", text.tokenizer().decode(out, true)).putNull("logprobs");
    choice.put("finish_reason", stopped ? "stop" : "length");
    if (stopped) {
      choice.put("stop_reason", out[out.length - 1]);
    } else {
      choice.putNull("stop_reason");
    }
    choice.set("token_ids", TeacherServer.JSON.valueToTree(out));
    if (scoring) {
      choice.set("prompt_logprobs", promptLogprobs(ids, body.get("prompt_logprobs").asInt()));
    } else {
      choice.putNull("prompt_logprobs");
    }
    choice.set("prompt_token_ids", TeacherServer.JSON.valueToTree(ids));
    answer.putNull("service_tier").putNull("system_fingerprint");
    answer
        .putObject("usage")
        .put("prompt_tokens", ids.length)
        .put("completion_tokens", out.length)
        .put("total_tokens", ids.length + out.length);
    return answer;
  }

  /** The standing token first, then the likeliest; it comes twice in neither. */
  private ArrayNode promptLogprobs(int[] ids, int k) {
    ArrayNode positions = TeacherServer.JSON.createArrayNode();
    positions.addNull();
    Scores scores = scores(ids, 1);
    for (int row = 0; row < scores.rows(); row++) {
      ObjectNode position = positions.addObject();
      int token = ids[row + 1];
      int from = row * scores.k();
      for (int i = 0; i < scores.k(); i++) {
        if (scores.topIds()[from + i] == token) {
          entry(position, token, scores.topLogprobs()[from + i], i + 1);
        }
      }
      for (int i = 0; i < k; i++) {
        int id = scores.topIds()[from + i];
        if (id != token) {
          entry(position, id, scores.topLogprobs()[from + i], i + 1);
        }
      }
    }
    return positions;
  }

  private void entry(ObjectNode position, int id, float logprob, int rank) {
    position
        .putObject(Integer.toString(id))
        .put("logprob", (double) logprob)
        .put("rank", rank)
        .put("decoded_token", text.tokenizer().decode(new int[] {id}, false));
  }

  ObjectNode sglang(JsonNode body, int[] ids, String weights) {
    JsonNode sampling = body.get("sampling_params");
    int max = sampling.get("max_new_tokens").asInt();
    ObjectNode answer = TeacherServer.JSON.createObjectNode();
    ObjectNode meta = TeacherServer.JSON.createObjectNode();
    meta.put("id", "1");
    int[] out = {};
    ObjectNode finish = meta.putObject("finish_reason").put("type", "length").put("length", max);
    if (max > 0) {
      Set<Integer> stops = stops(sampling.get("stop_token_ids"));
      out = generate(ids, max, sampling, stops);
      if (stops.contains(out[out.length - 1])) {
        finish.removeAll();
        finish.put("type", "stop").put("matched", out[out.length - 1]);
      }
    }
    meta.put("prompt_tokens", ids.length).put("weight_version", weights);
    if (body.path("return_logprob").asBoolean()) {
      inputLogprobs(meta, body, ids);
    }
    meta.put("completion_tokens", out.length).put("cached_tokens", 0);
    answer.put("text", text.tokenizer().decode(out, true));
    answer.set("output_ids", TeacherServer.JSON.valueToTree(out));
    answer.set("meta_info", meta);
    return answer;
  }

  private void inputLogprobs(ObjectNode meta, JsonNode body, int[] ids) {
    int start = body.get("logprob_start_len").asInt();
    int k = body.path("top_logprobs_num").asInt(0);
    int last = text.vocabularySize() - 1;
    Scores scores = scores(ids, start + 1);
    ArrayNode tokens = meta.putArray("input_token_logprobs");
    triple(tokens, Float.NaN, ids[start]);
    ArrayNode tops = TeacherServer.JSON.createArrayNode().addNull();
    ArrayNode chosen = TeacherServer.JSON.createArrayNode().addNull();
    for (int row = 0; row < scores.rows(); row++) {
      Map<Integer, Float> byId = new HashMap<>();
      ArrayNode top = tops.addArray();
      for (int i = 0; i < scores.k(); i++) {
        int at = row * scores.k() + i;
        byId.put(scores.topIds()[at], scores.topLogprobs()[at]);
        if (i < k) {
          triple(top, scores.topLogprobs()[at], scores.topIds()[at]);
        }
      }
      int token = ids[start + 1 + row];
      triple(tokens, byId.get(token), token >= last ? 0 : token);
      if (body.has("token_ids_logprob")) {
        ArrayNode ours = chosen.addArray();
        body.get("token_ids_logprob").forEach(id -> triple(ours, byId.get(id.asInt()), id.asInt()));
      }
    }
    if (k > 0) {
      meta.set("input_top_logprobs", tops);
    }
    if (body.has("token_ids_logprob")) {
      meta.set("input_token_ids_logprobs", chosen);
    }
  }

  private static void triple(ArrayNode list, float logprob, int id) {
    ArrayNode triple = list.addArray();
    if (Float.isNaN(logprob)) {
      triple.addNull();
    } else {
      triple.add((double) logprob);
    }
    triple.add(id).addNull();
  }
}
