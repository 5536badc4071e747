package io.reflux.model.evaluate;

import java.util.Objects;

/**
 * A question and its right answer.
 *
 * @param prompt as a user writes it; the chat template is applied to it if there is one
 * @param response compared without the white space around it
 */
public record Example(String prompt, String response) {
  public Example {
    Objects.requireNonNull(prompt, "prompt");
    Objects.requireNonNull(response, "response");
  }
}
