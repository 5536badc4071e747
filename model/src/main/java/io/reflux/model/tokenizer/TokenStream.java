package io.reflux.model.tokenizer;

import java.util.Arrays;

/**
 * Text of a generation as its tokens come. A character whose bytes are spread over several tokens
 * is held back until it is whole, so the pieces join to what {@link Tokenizer#decode} makes of all
 * ids. (Where a tokenizer falls back to bytes and a model writes bytes that are no UTF-8, decoding
 * takes back valid neighbours too; a stream has handed those out by then.) For one thread.
 */
public final class TokenStream {
  private static final char REPLACEMENT = '\uFFFD';

  private final Tokenizer tokenizer;

  /** The ids from which text is not yet final, and those just before them, as their context. */
  private int[] window = new int[0];

  private int contextIds;
  private String contextText = "";

  TokenStream(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
  }

  /** Takes the next id; returns what text became final by it, often empty. */
  public String push(int id) {
    window = Arrays.copyOf(window, window.length + 1);
    window[window.length - 1] = id;
    String text = tokenizer.decode(window, true);
    if (text.isEmpty() || text.charAt(text.length() - 1) == REPLACEMENT) {
      return "";
    }
    return release(text);
  }

  /**
   * What is still held back, bytes that never became a character as U+FFFD. Call once, at the end.
   */
  public String finish() {
    return release(tokenizer.decode(window, true));
  }

  /** Decoders treat the start of a sequence specially, so the last ids stay as context. */
  private String release(String text) {
    String released =
        text.length() > contextText.length() ? text.substring(contextText.length()) : "";
    window = Arrays.copyOfRange(window, contextIds, window.length);
    contextIds = window.length;
    contextText = tokenizer.decode(window, true);
    return released;
  }
}
