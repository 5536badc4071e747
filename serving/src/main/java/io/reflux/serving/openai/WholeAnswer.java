package io.reflux.serving.openai;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.serving.openai.ChoiceText.Piece;
import io.reflux.serving.openai.ChoiceText.PlacedToken;
import java.util.ArrayList;
import java.util.List;

/** Gathers an answer that is sent at once. */
final class WholeAnswer implements CompletionRun.Sink {
  private final Bodies bodies;
  private final List<Collected> choices = new ArrayList<>();

  WholeAnswer(Bodies bodies, int choices) {
    this.bodies = bodies;
    for (int i = 0; i < choices; i++) {
      this.choices.add(new Collected());
    }
  }

  private static final class Collected {
    private final StringBuilder text = new StringBuilder();
    private final List<PlacedToken> tokens = new ArrayList<>();
    private String finishReason;
  }

  @Override
  public synchronized void piece(int choice, Piece piece) {
    choices.get(choice).text.append(piece.text());
    choices.get(choice).tokens.addAll(piece.tokens());
  }

  @Override
  public synchronized void finished(int choice, String finishReason) {
    choices.get(choice).finishReason = finishReason;
  }

  synchronized ObjectNode body(CompletionRun.Usage usage) {
    ArrayNode array = Json.array();
    for (int i = 0; i < choices.size(); i++) {
      Collected choice = choices.get(i);
      array.add(bodies.wholeChoice(i, choice.text.toString(), choice.tokens, choice.finishReason));
    }
    ObjectNode body = bodies.answer(false, array);
    body.set("usage", Bodies.usage(usage));
    return body;
  }
}
