package io.reflux.model.chat;

import io.reflux.model.chat.Node.Expression;
import io.reflux.model.chat.Node.Filter;
import io.reflux.model.chat.Node.Statement;
import io.reflux.model.chat.TemplateLexer.Kind;
import io.reflux.model.chat.TemplateLexer.Token;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Parses the statements of a template; {@link ExpressionParser} parses what stands inside them. */
final class TemplateParser {
  private final TokenReader tokens;
  private final ExpressionParser expressions;
  private int depth;
  private int loops;

  private TemplateParser(TokenReader tokens) {
    this.tokens = tokens;
    this.expressions = new ExpressionParser(tokens);
  }

  static List<Statement> parse(String source) {
    TemplateParser parser = new TemplateParser(new TokenReader(TemplateLexer.tokens(source)));
    return parser.body(Set.of());
  }

  /** Statements up to one of the given tags, which is left to the caller to consume. */
  private List<Statement> body(Set<String> ends) {
    if (++depth > TokenReader.MAX_DEPTH) {
      throw Values.error(tokens.line(), "blocks nested too deeply");
    }
    List<Statement> statements = new ArrayList<>();
    while (true) {
      Token token = tokens.peek();
      switch (token.kind()) {
        case TEXT -> statements.add(new Node.Text(tokens.next().text()));
        case OUTPUT_BEGIN -> {
          tokens.next();
          statements.add(new Node.Output(expressions.tuple(), token.line()));
          tokens.expect(Kind.OUTPUT_END);
        }
        case BLOCK_BEGIN -> {
          String name = tokens.peekSecond().text();
          if (ends.contains(name)) {
            depth--;
            return statements;
          }
          tokens.next();
          statement(tokens.expect(Kind.NAME), statements);
        }
        case END -> {
          if (!ends.isEmpty()) {
            throw Values.error(token.line(), "unexpected end (expected: one of " + ends + ")");
          }
          depth--;
          return statements;
        }
        default -> throw tokens.unexpected("text or a tag");
      }
    }
  }

  private void statement(Token name, List<Statement> into) {
    int line = name.line();
    switch (name.text()) {
      case "if" -> into.add(conditional(line));
      case "for" -> into.add(loop(line));
      case "set" -> into.add(set(line));
      case "macro" -> into.add(macro(line));
      case "with" -> into.add(with(line));
      case "filter" -> {
        List<Filter> filters = new ArrayList<>();
        do {
          filters.add(expressions.filter(null));
        } while (tokens.accept("|"));
        tokens.expect(Kind.BLOCK_END);
        into.add(new Node.FilterBlock(filters, bodyUntil("endfilter"), line));
      }
      case "generation" -> {
        // Marks what a trainer would learn; it changes nothing about the text.
        tokens.expect(Kind.BLOCK_END);
        into.addAll(bodyUntil("endgeneration"));
      }
      case "break", "continue" -> {
        if (loops == 0) {
          throw Values.error(line, name.text() + " outside of a loop");
        }
        into.add(name.text().equals("break") ? new Node.Break() : new Node.Continue());
        tokens.expect(Kind.BLOCK_END);
      }
      default ->
          throw Values.error(
              line,
              "tag: %s (expected: if, for, set, macro, with, filter, generation, break, continue or raw)"
                  .formatted(Values.shortened(name.text())));
    }
  }

  private Statement conditional(int line) {
    Expression condition = expressions.expression();
    tokens.expect(Kind.BLOCK_END);
    List<Statement> then = body(Set.of("elif", "else", "endif"));
    tokens.expect(Kind.BLOCK_BEGIN);
    Token end = tokens.expect(Kind.NAME);
    List<Statement> otherwise = List.of();
    if (end.text().equals("elif")) {
      if (++depth > TokenReader.MAX_DEPTH * 4) {
        throw Values.error(line, "too many branches");
      }
      otherwise = List.of(conditional(end.line()));
      depth--;
      return new Node.If(condition, then, otherwise, line);
    }
    if (end.text().equals("else")) {
      tokens.expect(Kind.BLOCK_END);
      otherwise = bodyUntil("endif");
    } else {
      tokens.expect(Kind.BLOCK_END);
    }
    return new Node.If(condition, then, otherwise, line);
  }

  private Statement loop(int line) {
    List<String> targets = names();
    tokens.expectName("in");
    Expression items = expressions.withoutCondition();
    Expression condition = tokens.acceptName("if") ? expressions.expression() : null;
    if (tokens.acceptName("recursive")) {
      throw Values.error(line, "for: recursive (expected: a plain loop)");
    }
    tokens.expect(Kind.BLOCK_END);
    loops++;
    List<Statement> body = body(Set.of("else", "endfor"));
    loops--;
    tokens.expect(Kind.BLOCK_BEGIN);
    List<Statement> otherwise = List.of();
    boolean hasElse = tokens.expect(Kind.NAME).text().equals("else");
    tokens.expect(Kind.BLOCK_END);
    if (hasElse) {
      otherwise = bodyUntil("endfor");
    }
    return new Node.For(targets, items, condition, body, otherwise, line);
  }

  private Statement set(int line) {
    List<String> targets = names();
    String attribute = null;
    if (tokens.accept(".")) {
      attribute = tokens.expect(Kind.NAME).text();
    }
    if (tokens.accept("=")) {
      Expression value = expressions.tuple();
      tokens.expect(Kind.BLOCK_END);
      return new Node.Set(targets, attribute, value, line);
    }
    List<Filter> filters = new ArrayList<>();
    while (tokens.accept("|")) {
      filters.add(expressions.filter(null));
    }
    tokens.expect(Kind.BLOCK_END);
    if (attribute != null || targets.size() != 1) {
      throw Values.error(line, "set: a block (expected: one plain name)");
    }
    return new Node.SetBlock(targets.get(0), filters, bodyUntil("endset"), line);
  }

  private Statement macro(int line) {
    String name = tokens.expect(Kind.NAME).text();
    List<String> parameters = new ArrayList<>();
    List<Expression> defaults = new ArrayList<>();
    tokens.expectOperator("(");
    while (!tokens.accept(")")) {
      parameters.add(tokens.expect(Kind.NAME).text());
      defaults.add(tokens.accept("=") ? expressions.expression() : null);
      if (!tokens.accept(",")) {
        tokens.expectOperator(")");
        break;
      }
    }
    tokens.expect(Kind.BLOCK_END);
    // A macro in a loop is no part of it.
    int outerLoops = loops;
    loops = 0;
    List<Statement> body = bodyUntil("endmacro");
    loops = outerLoops;
    return new Node.Macro(name, parameters, defaults, body, line);
  }

  private Statement with(int line) {
    List<String> targets = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (tokens.peek().kind() == Kind.NAME) {
      targets.add(tokens.next().text());
      tokens.expectOperator("=");
      values.add(expressions.expression());
      tokens.accept(",");
    }
    tokens.expect(Kind.BLOCK_END);
    return new Node.With(targets, values, bodyUntil("endwith"), line);
  }

  private List<Statement> bodyUntil(String end) {
    List<Statement> body = body(Set.of(end));
    tokens.expect(Kind.BLOCK_BEGIN);
    tokens.expectName(end);
    // endmacro may repeat the name of what it ends.
    if (tokens.peek().kind() == Kind.NAME) {
      tokens.next();
    }
    tokens.expect(Kind.BLOCK_END);
    return body;
  }

  private List<String> names() {
    List<String> names = new ArrayList<>();
    boolean parenthesised = tokens.accept("(");
    do {
      names.add(tokens.expect(Kind.NAME).text());
    } while (tokens.accept(","));
    if (parenthesised) {
      tokens.expectOperator(")");
    }
    return names;
  }
}
