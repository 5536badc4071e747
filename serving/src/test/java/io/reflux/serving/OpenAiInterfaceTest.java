package io.reflux.serving;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.reflux.devstack.DevStack;
import io.reflux.serving.Client.Answer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What OpenAI's clients send and expect, on one server with one snapshot. */
@ExtendWith(SharedStack.class)
class OpenAiInterfaceTest {
  private static final String HELLO = "[{'role':'user','content':'Where is my parcel?'}]";

  @TempDir static Path temp;
  private static Fleet fleet;
  private static Fleet.Running server;
  private static Client client;

  @BeforeAll
  static void startServer(DevStack stack) {
    fleet = new Fleet(stack, temp);
    fleet.publish(1);
    server = fleet.server(4, 60).start();
    server.awaitVersion(1);
    client = new Client(server.service());
  }

  @AfterAll
  static void stopServer() {
    server.close();
    fleet.close();
  }

  @Test
  void completionHasTheFieldsThatClientsRead() {
    Answer answer = client.complete("{'model':'student','prompt':'Where is','temperature':0}");
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.version()).isEqualTo("1");
    JsonNode body = answer.body();
    assertThat(body.path("object").asText()).isEqualTo("text_completion");
    assertThat(body.path("id").asText()).startsWith("cmpl-");
    assertThat(body.path("model").asText()).isEqualTo("student");
    assertThat(body.path("system_fingerprint").asText()).startsWith("reflux-1-");
    assertThat(body.path("choices")).hasSize(1);
    assertThat(answer.text()).isNotEmpty();
    assertThat(answer.finishReason()).isEqualTo("length");
    assertThat(body.path("choices").path(0).path("logprobs").isNull()).isTrue();
    JsonNode usage = body.path("usage");
    assertThat(usage.path("completion_tokens").asInt()).isEqualTo(16);
    assertThat(usage.path("total_tokens").asInt())
        .isEqualTo(16 + usage.path("prompt_tokens").asInt());
  }

  @Test
  void chatUsesTheTemplateAndCompletionDoesNot() {
    Answer chat = client.chat("{'messages':" + HELLO + ",'temperature':0,'max_tokens':12}");
    assertThat(chat.status()).isEqualTo(200);
    assertThat(chat.body().path("object").asText()).isEqualTo("chat.completion");
    assertThat(chat.body().path("choices").path(0).path("message").path("role").asText())
        .isEqualTo("assistant");
    Answer byHand =
        client.complete(
            "{'prompt':'<|user|>Where is my parcel?<|end|><|assistant|>',"
                + "'temperature':0,'max_tokens':12}");
    assertThat(byHand.text()).isEqualTo(chat.text());
    Answer raw =
        client.complete("{'prompt':'Where is my parcel?','temperature':0,'max_tokens':12}");
    assertThat(raw.body().path("usage").path("prompt_tokens").asInt())
        .isEqualTo(chat.body().path("usage").path("prompt_tokens").asInt() - 3);
  }

  @Test
  void textPartsAreOneText() {
    Answer parts =
        client.chat(
            "{'messages':[{'role':'user','content':[{'type':'text','text':'Where is '},"
                + "{'type':'text','text':'my parcel?'}]}],'temperature':0}");
    Answer whole = client.chat("{'messages':" + HELLO + ",'temperature':0}");
    assertThat(parts.text()).isEqualTo(whole.text());
  }

  @Test
  void promptMayBeTextsOrTokens() {
    Answer two = client.complete("{'prompt':['Where is','I would'],'temperature':0,'n':2}");
    assertThat(two.body().path("choices")).hasSize(4);
    List<String> texts = two.body().path("choices").findValuesAsText("text");
    assertThat(texts.get(0)).isEqualTo(texts.get(1));
    assertThat(texts.get(2)).isEqualTo(texts.get(3)).isNotEqualTo(texts.get(0));
    assertThat(two.body().path("choices").findValuesAsText("index"))
        .containsExactly("0", "1", "2", "3");

    int[] ids = fleet.model(1).tokenizer().encode("Where is", true);
    String tokens = java.util.Arrays.toString(ids);
    assertThat(client.complete("{'prompt':" + tokens + ",'temperature':0}").text())
        .isEqualTo(texts.get(0));
    assertThat(client.complete("{'prompt':[" + tokens + "],'temperature':0}").text())
        .isEqualTo(texts.get(0));
  }

  @Test
  void sameSeedGivesTheSameTextAndChoicesDiffer() {
    String request = "{'prompt':'I would','seed':7,'n':3,'top_p':0.9}";
    List<String> first = client.complete(request).body().path("choices").findValuesAsText("text");
    List<String> again = client.complete(request).body().path("choices").findValuesAsText("text");
    assertThat(again).isEqualTo(first);
    assertThat(first).doesNotHaveDuplicates();
    assertThat(client.complete("{'prompt':'I would','seed':7,'top_p':0.9}").text())
        .isEqualTo(first.get(0));
  }

  @Test
  void streamJoinsToTheWholeAnswer() {
    String request = "'prompt':'Öffnet ihr','seed':3,'max_tokens':60,'n':2";
    // Asked once before, so that the prompt is known to both and their usage is the same.
    client.complete("{" + request + "}");
    JsonNode whole = client.complete("{" + request + "}").body();
    List<JsonNode> events =
        client.stream(
            "/v1/completions",
            "{" + request + ",'stream':true,'stream_options':{'include_usage':true}}");
    for (int choice = 0; choice < 2; choice++) {
      assertThat(joined(events, choice, "/text"))
          .isEqualTo(whole.path("choices").path(choice).path("text").asText());
    }
    JsonNode last = events.get(events.size() - 1);
    assertThat(last.path("choices")).isEmpty();
    assertThat(last.path("usage")).isEqualTo(whole.path("usage"));
    assertThat(events.get(0).path("usage").isNull()).isTrue();
    assertThat(events)
        .allSatisfy(
            event -> assertThat(event.path("system_fingerprint").asText()).startsWith("reflux-1-"));
  }

  @Test
  void chatStreamBeginsWithTheRoleAndEndsWithTheReason() {
    String request = "'messages':" + HELLO + ",'temperature':0,'max_completion_tokens':20";
    String whole = client.chat("{" + request + "}").text();
    var open = client.open("/v1/chat/completions", "{" + request + ",'stream':true}");
    assertThat(open.headers().firstValue("content-type").orElseThrow())
        .startsWith("text/event-stream");
    assertThat(open.headers().firstValue("reflux-snapshot-version")).contains("1");
    open.body().close();
    List<JsonNode> events =
        client.stream("/v1/chat/completions", "{" + request + ",'stream':true}");
    assertThat(events.get(0).at("/choices/0/delta/role").asText()).isEqualTo("assistant");
    assertThat(joined(events, 0, "/delta/content")).isEqualTo(whole);
    assertThat(events.get(events.size() - 1).at("/choices/0/finish_reason").asText())
        .isEqualTo("length");
    assertThat(events).noneMatch(event -> event.has("usage"));
  }

  @Test
  void stopTextEndsTheAnswerBeforeItAlsoAcrossTokens() {
    String request = "'prompt':'Where is','temperature':0,'max_tokens':80";
    String text = client.complete("{" + request + "}").text();
    String stop = text.substring(text.length() / 2, text.length() / 2 + 4);
    String expected = text.substring(0, text.indexOf(stop));
    String withStop = request + ",'logprobs':0,'stop':['never said',%s]";
    String body = withStop.formatted(quoted(stop));
    Answer answer = client.complete("{" + body + "}");
    assertThat(answer.text()).isEqualTo(expected);
    assertThat(answer.finishReason()).isEqualTo("stop");
    List<JsonNode> events = client.stream("/v1/completions", "{" + body + ",'stream':true}");
    assertThat(joined(events, 0, "/text")).isEqualTo(expected);
    assertThat(events.get(events.size() - 1).at("/choices/0/finish_reason").asText())
        .isEqualTo("stop");
    JsonNode offsets = answer.body().at("/choices/0/logprobs/text_offset");
    assertThat(offsets.path(offsets.size() - 1).asInt()).isLessThan(expected.length());
    assertThat(answer.body().at("/usage/completion_tokens").asInt()).isLessThan(80);
  }

  @Test
  void logprobsOfACompletion() {
    JsonNode logprobs =
        client
            .complete("{'prompt':'Where is','temperature':0,'max_tokens':5,'logprobs':3}")
            .body()
            .at("/choices/0/logprobs");
    assertThat(logprobs.path("tokens")).hasSize(5);
    assertThat(logprobs.path("token_logprobs")).hasSize(5);
    assertThat(logprobs.path("top_logprobs")).hasSize(5);
    for (int i = 0; i < 5; i++) {
      JsonNode top = logprobs.path("top_logprobs").path(i);
      assertThat(top.size()).isBetween(1, 3);
      assertThat(logprobs.path("token_logprobs").path(i).asDouble()).isBetween(-20.0, 0.0);
      // Greedy: what it says is what it finds likeliest.
      assertThat(top.path(logprobs.path("tokens").path(i).asText()).asDouble())
          .isEqualTo(logprobs.path("token_logprobs").path(i).asDouble());
    }
  }

  @Test
  void logprobsOfAChatAreTheSameStreamed() {
    String request =
        "'messages':" + HELLO + ",'temperature':0,'max_tokens':9,'logprobs':true,'top_logprobs':2";
    JsonNode content = client.chat("{" + request + "}").body().at("/choices/0/logprobs/content");
    assertThat(content).hasSize(9);
    JsonNode first = content.path(0);
    assertThat(first.path("top_logprobs")).hasSize(2);
    assertThat(first.at("/top_logprobs/0/token")).isEqualTo(first.path("token"));
    byte[] bytes = new byte[first.path("bytes").size()];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) first.path("bytes").path(i).asInt();
    }
    assertThat(new String(bytes, StandardCharsets.UTF_8)).isEqualTo(first.path("token").asText());
    List<JsonNode> streamed =
        client.stream("/v1/chat/completions", "{" + request + ",'stream':true}").stream()
            .flatMap(event -> event.at("/choices/0/logprobs/content").valueStream())
            .toList();
    assertThat(streamed).containsExactlyElementsOf(content);
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          completions | {'prompt':'a','max_tokens':0} | 400 | max_tokens | invalid_value
          completions | {'prompt':'a','max_tokens':4001} | 400 | max_tokens | invalid_value
          completions | {'prompt':'a','max_tokens':'7'} | 400 | max_tokens | invalid_value
          completions | {'prompt':'a','temperature':-0.1} | 400 | temperature | invalid_value
          completions | {'prompt':'a','temperature':2.1} | 400 | temperature | invalid_value
          completions | {'prompt':'a','top_p':0} | 400 | top_p | invalid_value
          completions | {'prompt':'a','n':0} | 400 | n | invalid_value
          completions | {'prompt':'a','n':128} | 400 | n | invalid_value
          completions | {'prompt':'a','stop':['']} | 400 | stop | invalid_value
          completions | {'prompt':'a','stop':7} | 400 | stop | invalid_value
          completions | {'prompt':'a','seed':1.5} | 400 | seed | invalid_value
          completions | {'prompt':'a','stream':'yes'} | 400 | stream | invalid_value
          completions | {'prompt':'a','stream_options':{}} | 400 | stream_options | invalid_value
          completions | {'prompt':'a','logprobs':21} | 400 | logprobs | invalid_value
          completions | {'prompt':'a','echo':true} | 400 | echo | unsupported_parameter
          completions | {'prompt':'a','suffix':'b'} | 400 | suffix | unsupported_parameter
          completions | {'prompt':'a','best_of':3} | 400 | best_of | unsupported_parameter
          completions | {'prompt':'a','logit_bias':{'5':1}} | 400 | logit_bias | unsupported_parameter
          completions | {'prompt':'a','presence_penalty':1} | 400 | presence_penalty | unsupported_parameter
          completions | {'prompt':''} | 400 | prompt | invalid_value
          completions | {'prompt':[]} | 400 | prompt | invalid_value
          completions | {'prompt':[1,'a']} | 400 | prompt | invalid_value
          completions | {'prompt':[100000]} | 400 | prompt | invalid_value
          completions | {'prompt':[-1]} | 400 | prompt | invalid_value
          completions | {} | 400 | prompt | invalid_value
          completions | {'prompt':'a','model':'gpt-4'} | 404 | model | model_not_found
          completions | [1] | 400 | | invalid_json
          completions | {'prompt' | 400 | | invalid_json
          chat/completions | {} | 400 | messages | invalid_value
          chat/completions | {'messages':[]} | 400 | messages | invalid_value
          chat/completions | {'messages':[{'content':'a'}]} | 400 | messages[0].role | invalid_value
          chat/completions | {'messages':[{'role':'user'}]} | 400 | messages[0].content | invalid_value
          chat/completions | {'messages':[{'role':'user','content':[{'type':'image_url'}]}]} | 400 | messages[0].content | invalid_value
          chat/completions | {'messages':[{'role':'user','content':'a'}],'top_logprobs':2} | 400 | top_logprobs | invalid_value
          chat/completions | {'messages':[{'role':'user','content':'a'}],'tools':[{}]} | 400 | tools | unsupported_parameter
          chat/completions | {'messages':[{'role':'user','content':'a'}],'response_format':{'type':'json_object'}} | 400 | response_format | unsupported_parameter
          """)
  void requestThatCannotBeHonouredIsRefusedByName(
      String path, String body, int status, String param, String code) {
    Answer answer = client.post("/v1/" + path, body);
    assertThat(answer.status()).as("%s", answer.body()).isEqualTo(status);
    JsonNode error = answer.body().path("error");
    assertThat(error.path("message").asText()).isNotEmpty();
    assertThat(error.path("type").asText()).isEqualTo("invalid_request_error");
    assertThat(error.path("param").asText()).isEqualTo(param == null ? "null" : param);
    assertThat(error.path("code").asText()).isEqualTo(code);
    assertThat(answer.version()).isEqualTo("1");
  }

  @Test
  void promptWithoutRoomIsRefusedAndDefaultLengthFitsTheRest() {
    int vocabulary = fleet.model(1).config().vocabularySize();
    String almostFull = longPrompt(Fleet.MAX_POSITIONS - 3, vocabulary);
    Answer answer = client.complete("{'prompt':" + almostFull + ",'temperature':0}");
    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.body().at("/usage/completion_tokens").asInt()).isEqualTo(3);
    Answer tooMuch = client.complete("{'prompt':" + almostFull + ",'max_tokens':4}");
    assertThat(tooMuch.status()).isEqualTo(400);
    assertThat(tooMuch.errorCode()).isEqualTo("context_length_exceeded");
    Answer full = client.complete("{'prompt':" + longPrompt(Fleet.MAX_POSITIONS, vocabulary) + "}");
    assertThat(full.errorCode()).isEqualTo("context_length_exceeded");
  }

  @Test
  void unknownFieldsAndNullsAreIgnored() {
    Answer answer =
        client.complete(
            "{'prompt':'a','user':'u','metadata':{'a':1},'stop':null,'max_tokens':null,"
                + "'frequency_penalty':0,'logit_bias':{},'best_of':1,'whatever':[1]}");
    assertThat(answer.status()).isEqualTo(200);
  }

  @Test
  void modelsAreListed() {
    Answer list = client.get("/v1/models");
    assertThat(list.status()).isEqualTo(200);
    assertThat(list.body().at("/data/0/id").asText()).isEqualTo("student");
    assertThat(list.body().at("/data/0/snapshot_version").asLong()).isEqualTo(1);
    assertThat(client.get("/v1/models/student").body().path("object").asText()).isEqualTo("model");
    assertThat(client.get("/v1/models/other").status()).isEqualTo(404);
  }

  @Test
  void errorsOfTheHttpLayerHaveTheSameBody() {
    for (Answer answer :
        List.of(
            client.get("/v1/nothing"),
            client.get("/v1/completions"),
            client.post("/health", "{}"),
            client.complete("{'prompt':'" + "a".repeat(9 << 20) + "'}"))) {
      assertThat(answer.status()).isIn(404, 405, 413);
      assertThat(answer.body().path("error").path("type").asText())
          .isEqualTo("invalid_request_error");
      assertThat(answer.body().path("error").path("message").asText()).isNotEmpty();
      assertThat(answer.version()).isEqualTo("1");
    }
  }

  private static String longPrompt(int tokens, int vocabulary) {
    return java.util.stream.IntStream.range(0, tokens)
        .mapToObj(i -> Integer.toString(10 + i % (vocabulary - 10)))
        .collect(Collectors.joining(",", "[", "]"));
  }

  private static String quoted(String text) {
    // The client turns single quotes into double ones.
    return Client.JSON.valueToTree(text).toString().replace("'", "\\u0027");
  }

  private static String joined(List<JsonNode> events, int choice, String pointer) {
    return events.stream()
        .flatMap(event -> event.path("choices").valueStream())
        .filter(part -> part.path("index").asInt() == choice)
        .map(part -> part.at(pointer).asText())
        .collect(Collectors.joining());
  }
}
