package io.reflux.model.chat;

import io.reflux.model.chat.Node.Arguments;
import io.reflux.model.chat.Node.Expression;
import io.reflux.model.chat.Node.Filter;
import io.reflux.model.chat.TemplateLexer.Kind;
import io.reflux.model.chat.TemplateLexer.Token;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Parses expressions by Jinja's precedence: filters and tests bind closer than any operator. */
final class ExpressionParser {
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", ">", "<=", ">=");
  private static final Set<String> NO_TEST_ARGUMENT =
      Set.of("else", "or", "and", "is", "if", "not", "in");

  private final TokenReader tokens;
  private int depth;

  ExpressionParser(TokenReader tokens) {
    this.tokens = tokens;
  }

  Expression expression() {
    if (++depth > TokenReader.MAX_DEPTH) {
      throw Values.error(tokens.line(), "expression nested too deeply");
    }
    Expression then = or();
    while (tokens.acceptName("if")) {
      Expression condition = or();
      Expression otherwise = tokens.acceptName("else") ? expression() : null;
      then = new Node.Conditional(condition, then, otherwise);
    }
    depth--;
    return then;
  }

  /** In a for tag an {@code if} belongs to the loop. */
  Expression withoutCondition() {
    return commaList(or(), false);
  }

  /** An expression, or several by commas as a list. */
  Expression tuple() {
    return commaList(expression(), true);
  }

  Filter filter(Expression target) {
    String name = tokens.expect(Kind.NAME).text();
    while (tokens.accept(".")) {
      name += "." + tokens.expect(Kind.NAME).text();
    }
    return new Filter(target, name, tokens.at("(") ? arguments() : Arguments.NONE);
  }

  private Expression commaList(Expression first, boolean conditions) {
    if (!tokens.at(",")) {
      return first;
    }
    List<Expression> items = new ArrayList<>(List.of(first));
    while (tokens.accept(",")) {
      boolean ends =
          tokens.peek().kind() == Kind.BLOCK_END
              || tokens.peek().kind() == Kind.OUTPUT_END
              || tokens.at(")");
      if (ends) {
        break;
      }
      items.add(conditions ? expression() : or());
    }
    return new Node.ListOf(items);
  }

  private Expression or() {
    Expression left = and();
    while (tokens.acceptName("or")) {
      left = new Node.Binary("or", left, and());
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    while (tokens.acceptName("and")) {
      left = new Node.Binary("and", left, not());
    }
    return left;
  }

  private Expression not() {
    int count = 0;
    while (tokens.acceptName("not")) {
      count++;
    }
    Expression operand = comparison();
    // Two cancel, but leave a truth value.
    for (int i = 0; i < (count == 0 ? 0 : 2 - count % 2); i++) {
      operand = new Node.Unary("not", operand);
    }
    return operand;
  }

  private Expression comparison() {
    List<Expression> operands = new ArrayList<>(List.of(sum()));
    List<String> operators = new ArrayList<>();
    while (true) {
      if (tokens.peek().kind() == Kind.OPERATOR && COMPARISONS.contains(tokens.peek().text())) {
        operators.add(tokens.next().text());
      } else if (tokens.acceptName("in")) {
        operators.add("in");
      } else if (tokens.atName("not") && tokens.peekSecond().is(Kind.NAME, "in")) {
        tokens.next();
        tokens.next();
        operators.add("not in");
      } else {
        break;
      }
      operands.add(sum());
    }
    return operators.isEmpty() ? operands.get(0) : new Node.Comparison(operands, operators);
  }

  private Expression sum() {
    Expression left = concatenation();
    while (tokens.at("+") || tokens.at("-")) {
      left = new Node.Binary(tokens.next().text(), left, concatenation());
    }
    return left;
  }

  private Expression concatenation() {
    Expression left = product();
    while (tokens.accept("~")) {
      left = new Node.Binary("~", left, product());
    }
    return left;
  }

  private Expression product() {
    Expression left = power();
    while (tokens.at("*") || tokens.at("/") || tokens.at("//") || tokens.at("%")) {
      left = new Node.Binary(tokens.next().text(), left, power());
    }
    return left;
  }

  private Expression power() {
    Expression left = unary(true);
    while (tokens.accept("**")) {
      left = new Node.Binary("**", left, unary(true));
    }
    return left;
  }

  private Expression unary(boolean withFilters) {
    if (++depth > TokenReader.MAX_DEPTH) {
      throw Values.error(tokens.line(), "expression nested too deeply");
    }
    Expression operand;
    if (tokens.at("-") || tokens.at("+")) {
      operand = new Node.Unary(tokens.next().text(), unary(false));
    } else {
      operand = primary();
    }
    operand = postfix(operand);
    depth--;
    return withFilters ? filtersAndTests(operand) : operand;
  }

  private Expression primary() {
    Token token = tokens.peek();
    switch (token.kind()) {
      case NAME -> {
        tokens.next();
        return switch (token.text()) {
          case "true", "True" -> new Node.Literal(true);
          case "false", "False" -> new Node.Literal(false);
          case "none", "None" -> new Node.Literal(null);
          default -> new Node.Name(token.text());
        };
      }
      case STRING -> {
        StringBuilder text = new StringBuilder(tokens.next().text());
        while (tokens.peek().kind() == Kind.STRING) {
          text.append(tokens.next().text());
        }
        return new Node.Literal(text.toString());
      }
      case INTEGER, FLOAT -> {
        return new Node.Literal(number(tokens.next()));
      }
      default -> {
        if (tokens.accept("(")) {
          if (tokens.accept(")")) {
            return new Node.ListOf(List.of());
          }
          Expression inner = tuple();
          tokens.expectOperator(")");
          return inner;
        }
        if (tokens.accept("[")) {
          return new Node.ListOf(items("]"));
        }
        if (tokens.accept("{")) {
          return dict();
        }
        throw tokens.unexpected("an expression");
      }
    }
  }

  private static Object number(Token token) {
    String digits = token.text().replace("_", "");
    try {
      return token.kind() == Kind.FLOAT
          ? (Object) Double.valueOf(digits)
          : (Object) Long.valueOf(digits);
    } catch (NumberFormatException e) {
      throw Values.error(
          token.line(), "number: %s (expected: 64 bits)".formatted(Values.shortened(digits)));
    }
  }

  private List<Expression> items(String end) {
    List<Expression> items = new ArrayList<>();
    while (!tokens.accept(end)) {
      items.add(expression());
      if (!tokens.accept(",")) {
        tokens.expectOperator(end);
        break;
      }
    }
    return items;
  }

  private Expression dict() {
    List<Expression> keys = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (!tokens.accept("}")) {
      keys.add(expression());
      tokens.expectOperator(":");
      values.add(expression());
      if (!tokens.accept(",")) {
        tokens.expectOperator("}");
        break;
      }
    }
    return new Node.DictOf(keys, values);
  }

  private Expression postfix(Expression start) {
    Expression target = start;
    while (true) {
      if (tokens.accept(".")) {
        Token name = tokens.next();
        if (name.kind() == Kind.NAME) {
          target = new Node.Attribute(target, name.text());
        } else if (name.kind() == Kind.INTEGER) {
          target = new Node.Item(target, new Node.Literal(number(name)));
        } else {
          throw Values.error(name.line(), "%s (expected: a name)".formatted(name.text()));
        }
      } else if (tokens.accept("[")) {
        target = subscript(target);
      } else if (tokens.at("(")) {
        target = new Node.Call(target, arguments());
      } else {
        return target;
      }
    }
  }

  private Expression subscript(Expression target) {
    Expression start = tokens.at(":") ? null : expression();
    if (tokens.accept("]")) {
      return new Node.Item(target, start);
    }
    tokens.expectOperator(":");
    Expression stop = tokens.at(":") || tokens.at("]") ? null : expression();
    Expression step = null;
    if (tokens.accept(":") && !tokens.at("]")) {
      step = expression();
    }
    tokens.expectOperator("]");
    return new Node.Slice(target, start, stop, step);
  }

  private Expression filtersAndTests(Expression start) {
    Expression target = start;
    while (true) {
      if (tokens.accept("|")) {
        target = filter(target);
      } else if (tokens.acceptName("is")) {
        boolean negated = tokens.acceptName("not");
        String name = tokens.next().text();
        target = new Node.Test(target, name, testArguments(), negated);
      } else if (tokens.at("(")) {
        target = new Node.Call(target, arguments());
      } else {
        return target;
      }
    }
  }

  /** A test may take its one argument without parentheses: {@code x is divisibleby 3}. */
  private Arguments testArguments() {
    if (tokens.at("(")) {
      return arguments();
    }
    Token token = tokens.peek();
    boolean takes =
        switch (token.kind()) {
          case NAME -> !NO_TEST_ARGUMENT.contains(token.text());
          case STRING, INTEGER, FLOAT -> true;
          case OPERATOR -> token.text().equals("[") || token.text().equals("{");
          default -> false;
        };
    return takes ? new Arguments(List.of(postfix(primary())), Map.of()) : Arguments.NONE;
  }

  private Arguments arguments() {
    tokens.expectOperator("(");
    List<Expression> positional = new ArrayList<>();
    Map<String, Expression> named = new LinkedHashMap<>();
    while (!tokens.accept(")")) {
      if (tokens.peek().kind() == Kind.NAME && tokens.peekSecond().is(Kind.OPERATOR, "=")) {
        String name = tokens.next().text();
        tokens.next();
        named.put(name, expression());
      } else {
        if (tokens.at("*") || tokens.at("**")) {
          throw tokens.unexpected("a plain argument");
        }
        positional.add(expression());
      }
      if (!tokens.accept(",")) {
        tokens.expectOperator(")");
        break;
      }
    }
    return new Arguments(positional, named);
  }
}
