package io.reflux.model.chat;

import io.reflux.model.ModelException;
import io.reflux.model.chat.TemplateLexer.Kind;
import io.reflux.model.chat.TemplateLexer.Token;
import java.util.List;

/** Tokens one after the other. */
final class TokenReader {
  /** Deeper nesting is refused rather than left to overflow the stack. */
  static final int MAX_DEPTH = 100;

  private final List<Token> tokens;
  private int next;

  TokenReader(List<Token> tokens) {
    this.tokens = tokens;
  }

  Token peek() {
    return tokens.get(next);
  }

  Token peekSecond() {
    return tokens.get(Math.min(next + 1, tokens.size() - 1));
  }

  int line() {
    return peek().line();
  }

  Token next() {
    Token token = tokens.get(next);
    next = Math.min(next + 1, tokens.size() - 1);
    return token;
  }

  boolean at(String operator) {
    return peek().is(Kind.OPERATOR, operator);
  }

  boolean atName(String name) {
    return peek().is(Kind.NAME, name);
  }

  boolean accept(String operator) {
    return at(operator) && next() != null;
  }

  boolean acceptName(String name) {
    return atName(name) && next() != null;
  }

  Token expect(Kind kind) {
    if (peek().kind() != kind) {
      throw unexpected(kind.name().toLowerCase(java.util.Locale.ROOT).replace('_', ' '));
    }
    return next();
  }

  void expectOperator(String operator) {
    if (!accept(operator)) {
      throw unexpected(operator);
    }
  }

  void expectName(String name) {
    if (!acceptName(name)) {
      throw unexpected(name);
    }
  }

  ModelException unexpected(String expected) {
    return Values.error(
        line(), "%s (expected: %s)".formatted(Values.shortened(peek().text()), expected));
  }
}
