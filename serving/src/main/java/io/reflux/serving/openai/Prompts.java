package io.reflux.serving.openai;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.serving.ServedModel;
import java.util.List;

/**
 * Turns what is to be continued into token ids of one model, and refuses what it has no room for.
 */
final class Prompts {
  private Prompts() {}

  static List<int[]> ids(ServedModel served, CompletionCall call) {
    return call.prompts().stream().map(prompt -> ids(served, call, prompt)).toList();
  }

  private static int[] ids(ServedModel served, CompletionCall call, CompletionCall.Prompt prompt) {
    LanguageModel model = served.model();
    String param = call.chat() ? "messages" : "prompt";
    int[] ids;
    try {
      if (prompt instanceof CompletionCall.Prompt.Text text) {
        ids = model.tokenizer().encode(text.text(), true);
      } else if (prompt instanceof CompletionCall.Prompt.Tokens tokens) {
        ids = tokens.ids();
      } else {
        ids = model.promptIds(((CompletionCall.Prompt.Chat) prompt).messages());
      }
    } catch (ModelException e) {
      throw ApiException.invalid(param, e.getMessage());
    }
    int vocabulary = model.config().vocabularySize();
    for (int id : ids) {
      if (id < 0 || id >= vocabulary) {
        throw ApiException.invalid(
            param, "token " + id + " (expected: 0 to " + (vocabulary - 1) + ")");
      }
    }
    if (ids.length == 0) {
      throw ApiException.invalid(param, "no tokens (expected: at least one)");
    }
    int wanted = call.maxTokens().orElse(1);
    if (ids.length > served.maxPositions() - wanted) {
      throw ApiException.badRequest(
          param,
          "context_length_exceeded",
          param
              + ": "
              + ids.length
              + " tokens and "
              + wanted
              + " to come (expected: at most "
              + served.maxPositions()
              + " together)");
    }
    return ids;
  }
}
