package io.reflux.scorer.remote;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.labels.LabelBlock;
import java.io.IOException;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;

/**
 * vLLM's OpenAI-compatible server. Its completions take token ids, and {@code prompt_logprobs} are
 * keyed by token id, so nothing here goes through text. One sequence a call, though it would take
 * several: its scheduler batches across calls anyway, and one that fails then fails alone. The
 * log-probs of a prompt are those of the plain softmax, whatever the sampling.
 */
final class VllmApi implements ServerApi {
  private static final String COMPLETIONS = "/v1/completions";

  private final int vocabularySize;

  VllmApi(int vocabularySize) {
    this.vocabularySize = vocabularySize;
  }

  /** The parts of a completion that matter here; arrays may still be missing. */
  private static final class Completion {
    private boolean hasPromptIds;
    private int[] promptIds = {};
    private boolean hasTokenIds;
    private int[] tokenIds = {};
    private String finishReason = "";
    private int stopReason = -1;
    private int choices;
  }

  /** Reads the value of prompt_logprobs. */
  private interface PromptLogprobs {
    void read(JsonParser json) throws IOException;
  }

  @Override
  public String owner() {
    return "vllm";
  }

  @Override
  public boolean givesSupport() {
    // logprob_token_ids of later versions concerns tokens that are generated, not the prompt's.
    return false;
  }

  @Override
  public CompletableFuture<ServerIdentity> identify(TeacherHttp http, ServedModel model) {
    return Facts.of(http, "/version", "version")
        .thenApply(
            facts ->
                new ServerIdentity(
                    model.id(), model.root(), facts.get("version"), "", model.longest()));
  }

  @Override
  public CompletableFuture<LabelBlock> score(
      TeacherHttp http, ServerIdentity server, ScoreAsk ask) {
    String model = server.model();
    TeacherHttp.Writer body =
        json -> {
          prompt(json, model, ask.tokenIds());
          // Older versions refuse 0.
          json.writeNumberField("max_tokens", 1);
          json.writeNumberField("temperature", 0);
          json.writeNumberField("prompt_logprobs", ask.k());
        };
    return http.post(COMPLETIONS, body, json -> readScores(json, model, ask)).result();
  }

  @Override
  public Call<int[]> answer(TeacherHttp http, ServerIdentity server, AnswerAsk ask) {
    String model = server.model();
    TeacherHttp.Writer body =
        json -> {
          prompt(json, model, ask.promptIds());
          json.writeNumberField("max_tokens", ask.maxTokens());
          // All of it: what is left out is taken from the model's generation_config.json.
          SamplingOptions sampling = ask.sampling();
          json.writeNumberField("temperature", sampling.temperature());
          json.writeNumberField("top_p", sampling.topP());
          json.writeNumberField("top_k", sampling.topK() == 0 ? -1 : sampling.topK());
          json.writeNumberField("min_p", 0);
          json.writeNumberField("repetition_penalty", 1);
          json.writeNumberField("presence_penalty", 0);
          json.writeNumberField("frequency_penalty", 0);
          json.writeNumberField("seed", sampling.seed());
          // Then the stop ids are ours alone, not the server's idea of the end.
          json.writeBooleanField("ignore_eos", true);
          ids(json, "stop_token_ids", ask.stopIds().stream().mapToInt(i -> i).sorted().toArray());
        };
    return http.post(COMPLETIONS, body, json -> readAnswer(json, model, ask));
  }

  private static void prompt(JsonGenerator json, String model, int[] tokenIds) throws IOException {
    json.writeStringField("model", model);
    ids(json, "prompt", tokenIds);
    json.writeBooleanField("add_special_tokens", false);
    json.writeBooleanField("return_token_ids", true);
    json.writeBooleanField("stream", false);
  }

  static void ids(JsonGenerator json, String name, int[] ids) throws IOException {
    json.writeFieldName(name);
    json.writeArray(ids, 0, ids.length);
  }

  private LabelBlock readScores(JsonParser json, String model, ScoreAsk ask) throws IOException {
    TopRows rows = new TopRows(ask, vocabularySize);
    Completion completion = read(json, model, inner -> readPromptLogprobs(inner, ask, rows));
    requireEcho(completion, ask.tokenIds());
    return rows.block();
  }

  private int[] readAnswer(JsonParser json, String model, AnswerAsk ask) throws IOException {
    Completion completion = read(json, model, JsonParser::skipChildren);
    requireEcho(completion, ask.promptIds());
    if (!completion.hasTokenIds) {
      throw tooOld("token_ids");
    }
    boolean ended =
        completion.finishReason.equals("stop") || completion.finishReason.equals("length");
    if (!ended) {
      throw ServerFault.of(
          ServerFault.Kind.FAILED,
          "finish_reason: " + completion.finishReason + " (expected: stop or length)",
          null);
    }
    return ask.ended(completion.tokenIds, completion.stopReason, vocabularySize);
  }

  private static Completion read(JsonParser json, String model, PromptLogprobs logprobs)
      throws IOException {
    Completion completion = new Completion();
    JsonWalk.next(json);
    JsonWalk.object(
        json,
        "completion",
        name -> {
          switch (name) {
            case "model" -> {
              String served = JsonWalk.text(json, name);
              if (!served.equals(model)) {
                throw ServerFault.wrong("model: " + served + " (expected: " + model + ")");
              }
            }
            case "choices" ->
                completion.choices =
                    JsonWalk.array(json, name, index -> readChoice(json, completion, logprobs));
            default -> json.skipChildren();
          }
        });
    if (completion.choices != 1) {
      throw ServerFault.wrong("choices: " + completion.choices + " (expected: 1)");
    }
    return completion;
  }

  private static void readChoice(JsonParser json, Completion completion, PromptLogprobs logprobs)
      throws IOException {
    JsonWalk.object(
        json,
        "choices[0]",
        name -> {
          boolean isNull = json.currentToken() == JsonToken.VALUE_NULL;
          switch (name) {
            case "prompt_token_ids" -> {
              completion.hasPromptIds = !isNull;
              completion.promptIds = JsonWalk.ids(json, name);
            }
            case "token_ids" -> {
              completion.hasTokenIds = !isNull;
              completion.tokenIds = JsonWalk.ids(json, name);
            }
            case "finish_reason" -> completion.finishReason = JsonWalk.text(json, name);
            case "stop_reason" -> {
              // A text when it was a text that stopped it, of which we name none.
              if (json.currentToken() == JsonToken.VALUE_NUMBER_INT) {
                completion.stopReason = JsonWalk.id(json, name);
              }
            }
            case "prompt_logprobs" -> logprobs.read(json);
            default -> json.skipChildren();
          }
        });
  }

  /** One object a position, null at the first; those before the response are stepped over. */
  private static void readPromptLogprobs(JsonParser json, ScoreAsk ask, TopRows rows)
      throws IOException {
    int[] ids = new int[ask.k() + 1];
    double[] logprobs = new double[ask.k() + 1];
    int[] ranks = new int[ask.k() + 1];
    int[] count = {0};
    int positions =
        JsonWalk.array(
            json,
            "prompt_logprobs",
            position -> {
              if (position < ask.firstPosition() || rows.complete()) {
                json.skipChildren();
                return;
              }
              String what = "prompt_logprobs[" + position + "]";
              count[0] = 0;
              JsonWalk.object(
                  json,
                  what,
                  key -> {
                    if (count[0] > ask.k()) {
                      throw ServerFault.wrong(
                          what
                              + ": more than "
                              + (ask.k() + 1)
                              + " ids (expected: "
                              + ask.k()
                              + ", and the token that stands there)");
                    }
                    ids[count[0]] = tokenId(key, what);
                    readLogprob(json, what, count[0], logprobs, ranks);
                    count[0]++;
                  });
              rows.addWithToken(ids, logprobs, ranks, count[0]);
            });
    if (positions != ask.tokenIds().length) {
      throw ServerFault.wrong(
          "prompt_logprobs: "
              + positions
              + " positions (expected: "
              + ask.tokenIds().length
              + ", those of the prompt)");
    }
  }

  private static void readLogprob(
      JsonParser json, String what, int at, double[] logprobs, int[] ranks) throws IOException {
    logprobs[at] = Double.NaN;
    ranks[at] = 0;
    JsonWalk.object(
        json,
        what,
        field -> {
          switch (field) {
            case "logprob" -> logprobs[at] = JsonWalk.number(json, what + ".logprob");
            case "rank" -> {
              if (json.currentToken() == JsonToken.VALUE_NUMBER_INT) {
                ranks[at] = JsonWalk.id(json, what + ".rank");
              }
            }
            default -> json.skipChildren();
          }
        });
  }

  private static int tokenId(String key, String what) {
    try {
      int id = Integer.parseInt(key);
      if (id >= 0) {
        return id;
      }
    } catch (NumberFormatException e) {
      // Said below, as for a negative one.
    }
    throw ServerFault.wrong(
        what + ": " + TeacherHttp.oneLine(key) + " (expected: a token id as key)");
  }

  private static void requireEcho(Completion completion, int[] sent) {
    if (!completion.hasPromptIds) {
      throw tooOld("prompt_token_ids");
    }
    int differs = Arrays.mismatch(completion.promptIds, sent);
    if (differs >= 0) {
      throw ServerFault.wrong(
          "prompt_token_ids: other ids than were sent, from position " + differs);
    }
  }

  private static ServerFault tooOld(String field) {
    return ServerFault.wrong(
        field + ": missing (expected: token ids, which vLLM tells from version 0.10.2 on)");
  }
}
