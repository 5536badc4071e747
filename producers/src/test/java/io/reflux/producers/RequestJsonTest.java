package io.reflux.producers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RequestJsonTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {                                    | body: no JSON
          [1]                                  | body: array (expected: a JSON object)
          {}                                   | prompt: missing (expected: a string, or messages)
          {"prompt":""}                        | prompt: empty (expected: text)
          {"prompt":7}                         | prompt: 7 (expected: a string)
          {"prompt":"a","messages":[{}]}       | prompt and messages: both given (expected: one of them)
          {"messages":[]}                      | messages: empty array (expected: an array of at least one message)
          {"messages":[{"role":"user"}]}       | messages[0].content: missing (expected: a string)
          {"prompt":"a","respone":"b"}         | respone: unknown field (expected: one of [
          {"prompt":"a","max_tokens":0}        | max_tokens: 0 (expected: a whole number, 1 or more)
          {"prompt":"a","tags":{"x":1}}        | tags.x: 1 (expected: a string)
          """)
  void badInputIsOneClearLine(String body, String error) {
    assertThatThrownBy(() -> RequestJson.mirror(body))
        .isInstanceOf(BadRequestException.class)
        .message()
        .startsWith(error)
        .doesNotContain("\n");
  }

  @Property(tries = 500)
  void anyTextIsReadOrRefused(@ForAll String text) {
    try {
      assertThat(RequestJson.mirror(text)).isNotNull();
    } catch (BadRequestException e) {
      assertThat(e.getMessage()).doesNotContain("\n");
    }
  }

  @Test
  void deepNestingIsRefused() {
    assertThatThrownBy(() -> RequestJson.mirror("{\"tags\":".repeat(5000)))
        .isInstanceOf(BadRequestException.class);
  }

  @Test
  void severalPromptsAreSeveralRequests() throws Exception {
    assertThat(
            RequestJson.completion(
                "{\"prompt\":[\"a\",\"b\"]}", new RequestJson.Origin("id", null, null)))
        .extracting(request -> request.requestId().orElseThrow())
        .containsExactly("id", "id.1");
  }

  @Test
  void anEmptyResponseIsAResponse() throws Exception {
    assertThat(RequestJson.mirror("{\"prompt\":\"a\",\"response\":\"\"}").response()).hasValue("");
    assertThat(RequestJson.mirror("{\"prompt\":\"a\",\"response\":null}").response()).isEmpty();
    assertThat(RequestJson.line("{\"prompt\":\"a\",\"response\":\"b\"}", false).response())
        .isEmpty();
  }
}
