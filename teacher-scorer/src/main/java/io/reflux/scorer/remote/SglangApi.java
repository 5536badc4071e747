package io.reflux.scorer.remote;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.scorer.remote.ServerFault.Kind;
import java.io.IOException;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;

/**
 * SGLang, by its own {@code /generate}. Its OpenAI-compatible completions key log-probs by the text
 * of a token: different ids of one text, or of broken UTF-8, fall together there, and a prompt's
 * are told only when it is echoed as text. {@code /generate} takes and tells ids, begins at a
 * position of our choice, and also tells log-probs of ids of our choice.
 */
final class SglangApi implements ServerApi {
  private static final String GENERATE = "/generate";

  /**
   * Log-probs of chosen ids in one answer. The server gives each position the same ids, so the ids
   * of many positions together would cost their square.
   */
  private static final int SUPPORT_ENTRIES = 1 << 16;

  private final int vocabularySize;

  SglangApi(int vocabularySize) {
    this.vocabularySize = vocabularySize;
  }

  /** The log-probs of some positions' tokens, and of other ids at these positions. */
  private static final class InputLogprobs {
    private final Entries tokens = new Entries();
    private final Positions others = new Positions();
    private long promptTokens = -1;
    private String finishType = "";
    private String finishMessage = "";
    private int finishStatus;
    private int matched = -1;
    private String weights = "";
  }

  @Override
  public String owner() {
    return "sglang";
  }

  @Override
  public boolean givesSupport() {
    return true;
  }

  @Override
  public CompletableFuture<ServerIdentity> identify(TeacherHttp http, ServedModel model) {
    return Facts.of(http, "/get_model_info", "model_path", "weight_version")
        .thenCombine(
            Facts.of(http, "/get_server_info", "version"),
            (info, server) -> {
              String path = info.get("model_path");
              return new ServerIdentity(
                  model.id(),
                  path.equals(Facts.UNKNOWN) ? model.root() : path,
                  server.get("version"),
                  info.get("weight_version"),
                  model.longest());
            });
  }

  @Override
  public CompletableFuture<LabelBlock> score(
      TeacherHttp http, ServerIdentity server, ScoreAsk ask) {
    return ask.supportSize() > 0 ? support(http, server, ask) : topK(http, server, ask);
  }

  private CompletableFuture<LabelBlock> topK(
      TeacherHttp http, ServerIdentity server, ScoreAsk ask) {
    TeacherHttp.Writer body =
        json -> {
          scoring(json, ask.tokenIds(), ask.tokenIds().length, ask.firstPosition());
          json.writeNumberField("top_logprobs_num", ask.k());
        };
    return http.post(
            GENERATE,
            body,
            json -> {
              InputLogprobs read = readInput(json, "input_top_logprobs");
              requireInput(
                  read, server, ask.tokenIds(), ask.firstPosition(), ask.tokenIds().length);
              return (LabelBlock) topRows(read, ask);
            })
        .result();
  }

  private LabelBlock topRows(InputLogprobs read, ScoreAsk ask) {
    TopRows rows = new TopRows(ask, vocabularySize);
    int skipped = read.others.count() - ask.rows();
    requirePositions("input_top_logprobs", skipped, read.others.count(), ask.rows());
    int token = read.tokens.count() - ask.rows();
    for (int row = 0; row < ask.rows(); row++) {
      rows.add(
          read.others.ids(skipped + row),
          read.others.logprobs(skipped + row),
          read.others.size(skipped + row),
          read.tokens.logprob(token + row));
    }
    return rows.block();
  }

  /** In pieces of some positions, one after the other: what they share is cached there. */
  private CompletableFuture<LabelBlock> support(
      TeacherHttp http, ServerIdentity server, ScoreAsk ask) {
    SupportRows rows = new SupportRows(ask, vocabularySize, SUPPORT_ENTRIES);
    return supportFrom(http, server, ask, rows).thenApply(done -> done.block());
  }

  private CompletableFuture<SupportRows> supportFrom(
      TeacherHttp http, ServerIdentity server, ScoreAsk ask, SupportRows rows) {
    if (rows.complete()) {
      return CompletableFuture.completedFuture(rows);
    }
    int[] union = rows.nextIds();
    int first = rows.position();
    int end = rows.nextEnd();
    TeacherHttp.Writer body =
        json -> {
          scoring(json, ask.tokenIds(), end, first);
          json.writeNumberField("top_logprobs_num", 0);
          VllmApi.ids(json, "token_ids_logprob", union);
        };
    return http.post(
            GENERATE,
            body,
            json -> {
              InputLogprobs read = readInput(json, "input_token_ids_logprobs");
              requireInput(read, server, ask.tokenIds(), first, end);
              return read;
            })
        .result()
        .thenCompose(
            read -> {
              int count = end - first;
              int skipped = read.others.count() - count;
              requirePositions("input_token_ids_logprobs", skipped, read.others.count(), count);
              int token = read.tokens.count() - count;
              for (int row = 0; row < count; row++) {
                rows.add(
                    read.others.ids(skipped + row),
                    read.others.logprobs(skipped + row),
                    read.others.size(skipped + row),
                    read.tokens.logprob(token + row));
              }
              return supportFrom(http, server, ask, rows);
            });
  }

  @Override
  public Call<int[]> answer(TeacherHttp http, ServerIdentity server, AnswerAsk ask) {
    TeacherHttp.Writer body =
        json -> {
          VllmApi.ids(json, "input_ids", ask.promptIds());
          json.writeBooleanField("stream", false);
          json.writeObjectFieldStart("sampling_params");
          SamplingOptions sampling = ask.sampling();
          json.writeNumberField("max_new_tokens", ask.maxTokens());
          // All of it: what is left out may be set by the server.
          json.writeNumberField("temperature", sampling.temperature());
          json.writeNumberField("top_p", sampling.topP());
          json.writeNumberField("top_k", sampling.topK() == 0 ? -1 : sampling.topK());
          json.writeNumberField("min_p", 0);
          json.writeNumberField("repetition_penalty", 1);
          json.writeNumberField("presence_penalty", 0);
          json.writeNumberField("frequency_penalty", 0);
          if (sampling.temperature() > 0) {
            // Heeded by servers that were started for it; a 31-bit number there.
            json.writeNumberField("sampling_seed", sampling.seed() & Integer.MAX_VALUE);
          }
          // Its ignore_eos would also ignore these.
          VllmApi.ids(
              json, "stop_token_ids", ask.stopIds().stream().mapToInt(i -> i).sorted().toArray());
          json.writeEndObject();
        };
    return http.post(GENERATE, body, json -> readAnswer(json, server, ask));
  }

  private static void scoring(JsonGenerator json, int[] tokenIds, int end, int firstPosition)
      throws IOException {
    VllmApi.ids(json, "input_ids", Arrays.copyOf(tokenIds, end));
    json.writeBooleanField("stream", false);
    json.writeBooleanField("return_logprob", true);
    json.writeBooleanField("return_text_in_logprobs", false);
    // The first position asked for never has a log-prob.
    json.writeNumberField("logprob_start_len", firstPosition - 1);
    json.writeObjectFieldStart("sampling_params");
    json.writeNumberField("max_new_tokens", 0);
    json.writeNumberField("temperature", 0);
    json.writeEndObject();
  }

  private int[] readAnswer(JsonParser json, ServerIdentity server, AnswerAsk ask)
      throws IOException {
    int[][] ids = {null};
    InputLogprobs[] meta = {null};
    JsonWalk.next(json);
    JsonWalk.object(
        json,
        "answer",
        name -> {
          switch (name) {
            case "output_ids" -> ids[0] = JsonWalk.ids(json, name);
            case "meta_info" -> meta[0] = readMeta(json, "none");
            default -> json.skipChildren();
          }
        });
    if (ids[0] == null || meta[0] == null) {
      throw ServerFault.wrong("output_ids or meta_info: missing");
    }
    requireEnded(meta[0], server, ask.promptIds().length);
    return ask.ended(ids[0], meta[0].matched, vocabularySize);
  }

  private static InputLogprobs readInput(JsonParser json, String others) throws IOException {
    InputLogprobs[] meta = {null};
    JsonWalk.next(json);
    JsonWalk.object(
        json,
        "answer",
        name -> {
          if (name.equals("meta_info")) {
            meta[0] = readMeta(json, others);
          } else {
            json.skipChildren();
          }
        });
    if (meta[0] == null) {
      throw ServerFault.wrong("meta_info: missing");
    }
    return meta[0];
  }

  private static InputLogprobs readMeta(JsonParser json, String others) throws IOException {
    InputLogprobs read = new InputLogprobs();
    JsonWalk.object(
        json,
        "meta_info",
        name -> {
          if (name.equals("prompt_tokens")) {
            read.promptTokens = JsonWalk.id(json, name);
          } else if (name.equals("weight_version")) {
            read.weights = JsonWalk.text(json, name);
          } else if (name.equals("finish_reason")) {
            readFinish(json, read);
          } else if (name.equals("input_token_logprobs")) {
            JsonWalk.array(json, name, index -> read.tokens.read(json, name, index));
          } else if (name.equals(others)) {
            JsonWalk.array(json, name, index -> read.others.read(json, name, index));
          } else {
            json.skipChildren();
          }
        });
    return read;
  }

  private static void readFinish(JsonParser json, InputLogprobs read) throws IOException {
    if (json.currentToken() != JsonToken.START_OBJECT) {
      read.finishType = JsonWalk.text(json, "finish_reason");
      return;
    }
    JsonWalk.object(
        json,
        "finish_reason",
        name -> {
          boolean number = json.currentToken() == JsonToken.VALUE_NUMBER_INT;
          switch (name) {
            case "type" -> read.finishType = JsonWalk.text(json, name);
            case "message" -> read.finishMessage = JsonWalk.text(json, name);
            case "status_code" -> read.finishStatus = number ? json.getIntValue() : 0;
            case "matched" -> {
              if (number) {
                read.matched = JsonWalk.id(json, name);
              } else {
                json.skipChildren();
              }
            }
            default -> json.skipChildren();
          }
        });
  }

  private static void requireEnded(InputLogprobs read, ServerIdentity server, int promptTokens) {
    // Weights can be exchanged while it runs; their labels must not go under one fingerprint.
    boolean counted = !read.weights.isEmpty() && !server.weights().equals(Facts.UNKNOWN);
    if (counted && !read.weights.equals(server.weights())) {
      throw ServerFault.of(
          Kind.AWAY,
          "weight_version: "
              + read.weights
              + " (expected: "
              + server.weights()
              + ", as at the start; start the scorer anew to take the other teacher)",
          null);
    }
    if (read.finishType.equals("abort")) {
      throw ServerFault.of(
          read.finishStatus == 400 ? Kind.REFUSED : Kind.FAILED,
          "given up by the server: " + TeacherHttp.oneLine(read.finishMessage),
          null);
    }
    if (read.promptTokens != promptTokens) {
      throw ServerFault.wrong(
          "prompt_tokens: " + read.promptTokens + " (expected: " + promptTokens + ", as sent)");
    }
  }

  /** The answer is about the ids that were sent. */
  private void requireInput(
      InputLogprobs read, ServerIdentity server, int[] tokenIds, int first, int end) {
    requireEnded(read, server, end);
    int rows = end - first;
    int skipped = read.tokens.count() - rows;
    requirePositions("input_token_logprobs", skipped, read.tokens.count(), rows);
    for (int row = 0; row < rows; row++) {
      int sent = tokenIds[first + row];
      int echoed = read.tokens.id(skipped + row);
      // The server echoes its last id, which may stand for an image, as 0.
      boolean same = echoed == sent || (sent == vocabularySize - 1 && echoed == 0);
      if (!same) {
        throw ServerFault.wrong(
            "position "
                + (first + row)
                + ": token "
                + echoed
                + " (expected: "
                + sent
                + ", as sent)");
      }
    }
  }

  private static void requirePositions(String what, int skipped, int count, int rows) {
    // One more than the rows: the first position asked for, which has no log-prob.
    if (skipped < 0 || skipped > 1) {
      throw ServerFault.wrong(
          what + ": " + count + " positions (expected: " + rows + ", and one before them)");
    }
  }
}
