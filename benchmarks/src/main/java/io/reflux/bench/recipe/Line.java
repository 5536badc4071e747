package io.reflux.bench.recipe;

import io.reflux.model.LanguageModel;
import io.reflux.trainer.pretrain.PromptResponse;
import java.util.Arrays;
import java.util.List;

/**
 * An exchange in the teacher's tokens.
 *
 * @param intent that its reference answer stands for
 * @param answer reference text
 * @param ids prompt, answer and stop token
 * @param promptLength of the ids
 */
@SuppressWarnings("ArrayRecordComponent") // compared by nobody
public record Line(String intent, String answer, int[] ids, int promptLength) {
  /** Of each text. */
  public static List<Line> of(LanguageModel teacher, List<PromptResponse> texts) {
    return texts.stream().map(text -> of(teacher, text)).toList();
  }

  /** The longest reference, and room for a few tokens that should not be there. */
  public static int mostAnswerTokens(List<Line> lines) {
    return 4 + lines.stream().mapToInt(l -> l.ids().length - l.promptLength()).max().orElseThrow();
  }

  /** Of a text. */
  public static Line of(LanguageModel teacher, PromptResponse text) {
    int[] prompt = teacher.promptIds(text.prompt());
    int[] answer = teacher.tokenizer().encode(text.response(), false);
    int[] ids = Arrays.copyOf(prompt, prompt.length + answer.length + 1);
    System.arraycopy(answer, 0, ids, prompt.length, answer.length);
    ids[ids.length - 1] = teacher.stopIds().iterator().next();
    return new Line(Corpus.intent(text), text.response(), ids, prompt.length);
  }

  int[] promptIds() {
    return Arrays.copyOf(ids, promptLength);
  }

  /** The same prompt, answered otherwise. */
  Line withAnswer(int[] answerIds) {
    int[] other = Arrays.copyOf(ids, promptLength + answerIds.length);
    System.arraycopy(answerIds, 0, other, promptLength, answerIds.length);
    return new Line(intent, answer, other, promptLength);
  }
}
