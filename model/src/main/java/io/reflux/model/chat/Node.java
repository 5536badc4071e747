package io.reflux.model.chat;

import java.util.List;
import java.util.Map;

/** The parsed form of a template. */
sealed interface Node {
  /** What has a value. */
  sealed interface Expression extends Node {}

  /** What writes or changes something. */
  sealed interface Statement extends Node {}

  record Literal(Object value) implements Expression {}

  record Name(String name) implements Expression {}

  /** Lists, and tuples, which nothing here tells apart. */
  record ListOf(List<Expression> items) implements Expression {}

  record DictOf(List<Expression> keys, List<Expression> values) implements Expression {}

  /** {@code target.name}: a method before an item. */
  record Attribute(Expression target, String name) implements Expression {}

  /** {@code target[key]}: an item before a method. */
  record Item(Expression target, Expression key) implements Expression {}

  /** {@code target[start:stop:step]}; parts left out are null. */
  record Slice(Expression target, Expression start, Expression stop, Expression step)
      implements Expression {}

  record Arguments(List<Expression> positional, Map<String, Expression> named) {
    static final Arguments NONE = new Arguments(List.of(), Map.of());
  }

  record Call(Expression target, Arguments arguments) implements Expression {}

  record Filter(Expression target, String name, Arguments arguments) implements Expression {}

  record Test(Expression target, String name, Arguments arguments, boolean negated)
      implements Expression {}

  record Unary(String operator, Expression operand) implements Expression {}

  record Binary(String operator, Expression left, Expression right) implements Expression {}

  /** {@code a < b < c}: each operator stands between two operands. */
  record Comparison(List<Expression> operands, List<String> operators) implements Expression {}

  /** {@code then if condition else otherwise}; otherwise may be null. */
  record Conditional(Expression condition, Expression then, Expression otherwise)
      implements Expression {}

  record Text(String text) implements Statement {}

  record Output(Expression expression, int line) implements Statement {}

  record If(Expression condition, List<Statement> then, List<Statement> otherwise, int line)
      implements Statement {}

  /** condition may be null. */
  record For(
      List<String> targets,
      Expression items,
      Expression condition,
      List<Statement> body,
      List<Statement> otherwise,
      int line)
      implements Statement {}

  /** Sets names, or one attribute of a namespace when attribute is not null. */
  record Set(List<String> targets, String attribute, Expression value, int line)
      implements Statement {}

  /** A name for what the body writes, passed through the filters. */
  record SetBlock(String target, List<Filter> filters, List<Statement> body, int line)
      implements Statement {}

  /** Writes what the body writes, passed through the filters. */
  record FilterBlock(List<Filter> filters, List<Statement> body, int line) implements Statement {}

  /** A body with names of its own. */
  record With(List<String> targets, List<Expression> values, List<Statement> body, int line)
      implements Statement {}

  /** Parameters without a default have null. */
  record Macro(
      String name,
      List<String> parameters,
      List<Expression> defaults,
      List<Statement> body,
      int line)
      implements Statement {}

  record Break() implements Statement {}

  record Continue() implements Statement {}
}
