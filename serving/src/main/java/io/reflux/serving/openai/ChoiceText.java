package io.reflux.serving.openai;

import io.reflux.model.runtime.Generation;
import io.reflux.model.tokenizer.TokenStream;
import io.reflux.model.tokenizer.Tokenizer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Set;

/**
 * The text of one continuation as its tokens come: whole characters only, nothing from a stop text
 * on. A token is reported when its first character is. For one thread.
 */
final class ChoiceText {
  private final Set<Integer> stopIds;
  private final TokenStream text;
  private final StopMatcher stops;
  private final Deque<PlacedToken> waiting = new ArrayDeque<>();
  private int tokens;
  private int produced;
  private int released;

  ChoiceText(Tokenizer tokenizer, Set<Integer> stopIds, List<String> stops) {
    this.stopIds = stopIds;
    this.text = tokenizer.stream();
    this.stops = new StopMatcher(stops);
  }

  /** A token and where its text begins, in characters from the beginning of the continuation. */
  record PlacedToken(Generation.Token token, int textOffset) {}

  /** Text that is certain, and the tokens that begin in it or before. */
  record Piece(String text, List<PlacedToken> tokens) {
    boolean isEmpty() {
      return text.isEmpty() && tokens.isEmpty();
    }
  }

  Piece push(Generation.Token token) {
    if (stops.stopped()) {
      return new Piece("", List.of());
    }
    tokens++;
    if (stopIds.contains(token.id())) {
      // It ends the response and is no part of its text.
      return new Piece("", List.of());
    }
    waiting.addLast(new PlacedToken(token, produced));
    String fresh = text.push(token.id());
    produced += fresh.length();
    return release(stops.push(fresh), false);
  }

  /** What was held back. Call once, after the last token. */
  Piece finish() {
    if (stops.stopped()) {
      return new Piece("", List.of());
    }
    String rest = stops.push(text.finish());
    return release(rest + stops.finish(), !stops.stopped());
  }

  /** Whether a stop text has come, so that no further token is wanted. */
  boolean stopped() {
    return stops.stopped();
  }

  /** Tokens generated, the one that ended it included. */
  int tokens() {
    return tokens;
  }

  private Piece release(String fresh, boolean all) {
    released += fresh.length();
    List<PlacedToken> ready = new ArrayList<>();
    while (!waiting.isEmpty() && (all || waiting.getFirst().textOffset() < released)) {
      ready.add(waiting.removeFirst());
    }
    return new Piece(fresh, List.copyOf(ready));
  }
}
