package io.reflux.model.chat;

import io.reflux.model.chat.Node.Expression;
import io.reflux.model.chat.Node.Statement;
import io.reflux.model.chat.Values.Arguments;
import io.reflux.model.chat.Values.Callable;
import io.reflux.model.chat.Values.Namespace;
import io.reflux.model.chat.Values.Undefined;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Runs a parsed template, in a bounded number of steps and characters. For one rendering. */
final class Interpreter {
  private static final int MAX_STEPS = 1_000_000;
  private static final int MAX_CALLS = 64;
  private static final int MAX_DEPTH = 400;

  private StringBuilder out = new StringBuilder();
  private Scope scope;
  private int steps;
  private int calls;
  private int depth;
  private int line;

  private Interpreter(Scope scope) {
    this.scope = scope;
  }

  /**
   * The text that a template makes.
   *
   * @param globals the only names it can see
   */
  static String run(List<Statement> template, Map<String, Object> globals) {
    Interpreter interpreter = new Interpreter(new Scope(null));
    interpreter.scope.values.putAll(globals);
    interpreter.scope = new Scope(interpreter.scope);
    interpreter.body(template);
    return interpreter.out.toString();
  }

  /** Names of a loop, macro or with block; what they do not have is looked up outside. */
  private static final class Scope {
    private final Scope outer;
    private final Map<String, Object> values = new HashMap<>();

    Scope(Scope outer) {
      this.outer = outer;
    }

    Object get(String name) {
      for (Scope at = this; at != null; at = at.outer) {
        if (at.values.containsKey(name)) {
          return at.values.get(name);
        }
      }
      return new Undefined(name);
    }
  }

  /** How a body ended. */
  private enum Flow {
    NEXT,
    BREAK,
    CONTINUE
  }

  private Flow body(List<Statement> statements) {
    deeper();
    Flow flow = Flow.NEXT;
    for (int i = 0; i < statements.size() && flow == Flow.NEXT; i++) {
      flow = execute(statements.get(i));
    }
    depth--;
    return flow;
  }

  private Flow execute(Statement statement) {
    step();
    if (statement instanceof Node.Text text) {
      write(text.text());
    } else if (statement instanceof Node.Output output) {
      line = output.line();
      write(Values.str(evaluate(output.expression())));
    } else if (statement instanceof Node.If branch) {
      line = branch.line();
      return body(Values.truthy(evaluate(branch.condition())) ? branch.then() : branch.otherwise());
    } else if (statement instanceof Node.For loop) {
      return loop(loop);
    } else if (statement instanceof Node.Set set) {
      line = set.line();
      set(set);
    } else if (statement instanceof Node.SetBlock block) {
      String text = captured(block.body());
      line = block.line();
      scope.values.put(block.target(), filtered(text, block.filters()));
    } else if (statement instanceof Node.FilterBlock block) {
      String text = captured(block.body());
      line = block.line();
      write(Values.str(filtered(text, block.filters())));
    } else if (statement instanceof Node.With with) {
      return with(with);
    } else if (statement instanceof Node.Macro macro) {
      scope.values.put(macro.name(), macro(macro, scope));
    } else {
      return statement instanceof Node.Break ? Flow.BREAK : Flow.CONTINUE;
    }
    return Flow.NEXT;
  }

  private Flow loop(Node.For loop) {
    line = loop.line();
    List<Object> items = Values.items(evaluate(loop.items()));
    Scope outer = scope;
    if (loop.condition() != null) {
      List<Object> kept = new ArrayList<>();
      for (Object item : items) {
        scope = new Scope(outer);
        unpack(loop.targets(), item);
        if (Values.truthy(evaluate(loop.condition()))) {
          kept.add(item);
        }
      }
      items = kept;
    }
    for (int index = 0; index < items.size(); index++) {
      step();
      scope = new Scope(outer);
      scope.values.put("loop", Loops.variables(items, index));
      unpack(loop.targets(), items.get(index));
      if (body(loop.body()) == Flow.BREAK) {
        break;
      }
    }
    scope = outer;
    return items.isEmpty() ? body(loop.otherwise()) : Flow.NEXT;
  }

  private Flow with(Node.With with) {
    line = with.line();
    Scope outer = scope;
    Scope inner = new Scope(outer);
    for (int i = 0; i < with.targets().size(); i++) {
      inner.values.put(with.targets().get(i), evaluate(with.values().get(i)));
    }
    scope = inner;
    Flow flow = body(with.body());
    scope = outer;
    return flow;
  }

  private void set(Node.Set set) {
    Object value = evaluate(set.value());
    if (set.attribute() == null) {
      unpack(set.targets(), value);
    } else if (scope.get(set.targets().get(0)) instanceof Namespace namespace) {
      namespace.attributes.put(set.attribute(), value);
    } else {
      throw Values.error(
          line,
          "set %s.%s (expected: a namespace)".formatted(set.targets().get(0), set.attribute()));
    }
  }

  private void unpack(List<String> targets, Object value) {
    if (targets.size() == 1) {
      scope.values.put(targets.get(0), value);
      return;
    }
    List<Object> items = Values.items(value);
    if (items.size() != targets.size()) {
      throw Values.error(line, "%d values for the names %s".formatted(items.size(), targets));
    }
    for (int i = 0; i < targets.size(); i++) {
      scope.values.put(targets.get(i), items.get(i));
    }
  }

  private Callable macro(Node.Macro macro, Scope defined) {
    return arguments -> {
      if (++calls > MAX_CALLS) {
        throw Values.error(macro.line(), "macro " + macro.name() + " calls itself too often");
      }
      if (arguments.positional().size() > macro.parameters().size()) {
        throw Values.error(
            line,
            "macro %s: %d arguments (expected: at most %d)"
                .formatted(macro.name(), arguments.positional().size(), macro.parameters().size()));
      }
      Scope caller = scope;
      scope = new Scope(defined);
      for (int i = 0; i < macro.parameters().size(); i++) {
        Object value = arguments.get(i, macro.parameters().get(i));
        if (value instanceof Undefined && macro.defaults().get(i) != null) {
          value = evaluate(macro.defaults().get(i));
        }
        scope.values.put(macro.parameters().get(i), value);
      }
      String text = captured(macro.body());
      scope = caller;
      calls--;
      return text;
    };
  }

  private String captured(List<Statement> statements) {
    StringBuilder outside = out;
    out = new StringBuilder();
    body(statements);
    String text = out.toString();
    out = outside;
    return text;
  }

  private Object filtered(Object start, List<Node.Filter> filters) {
    Object value = start;
    for (Node.Filter filter : filters) {
      value = Filters.apply(filter.name(), value, arguments(filter.arguments()));
    }
    return value;
  }

  private void write(String text) {
    if (out.length() + text.length() > Values.MAX_CHARACTERS) {
      throw Values.error(line, "prompt over %d characters".formatted(Values.MAX_CHARACTERS));
    }
    out.append(text);
  }

  /** The stack of Java is not to be the limit. */
  private void deeper() {
    if (++depth > MAX_DEPTH) {
      throw Values.error(line, "nested too deeply");
    }
  }

  private void step() {
    if (++steps > MAX_STEPS) {
      throw Values.error(line, "more than %d steps".formatted(MAX_STEPS));
    }
  }

  private Object evaluate(Expression expression) {
    step();
    deeper();
    Object value = value(expression);
    depth--;
    return value;
  }

  private Object value(Expression expression) {
    if (expression instanceof Node.Literal literal) {
      return literal.value();
    }
    if (expression instanceof Node.Name name) {
      return scope.get(name.name());
    }
    if (expression instanceof Node.Attribute attribute) {
      return Members.attribute(evaluate(attribute.target()), attribute.name());
    }
    if (expression instanceof Node.Item item) {
      return Members.item(evaluate(item.target()), evaluate(item.key()));
    }
    if (expression instanceof Node.Slice slice) {
      return Members.slice(
          evaluate(slice.target()),
          optional(slice.start()),
          optional(slice.stop()),
          optional(slice.step()));
    }
    if (expression instanceof Node.Call call) {
      return call(call);
    }
    if (expression instanceof Node.Filter filter) {
      return filter(filter);
    }
    if (expression instanceof Node.Test test) {
      Object target = evaluate(test.target());
      return Tests.holds(test.name(), target, arguments(test.arguments())) != test.negated();
    }
    if (expression instanceof Node.Unary unary) {
      return Operators.unary(unary.operator(), evaluate(unary.operand()));
    }
    if (expression instanceof Node.Binary binary) {
      return binary(binary);
    }
    if (expression instanceof Node.Comparison comparison) {
      return comparison(comparison);
    }
    if (expression instanceof Node.Conditional conditional) {
      if (Values.truthy(evaluate(conditional.condition()))) {
        return evaluate(conditional.then());
      }
      return conditional.otherwise() == null
          ? new Undefined("else")
          : evaluate(conditional.otherwise());
    }
    if (expression instanceof Node.DictOf dict) {
      Map<Object, Object> map = new LinkedHashMap<>();
      for (int i = 0; i < dict.keys().size(); i++) {
        map.put(evaluate(dict.keys().get(i)), evaluate(dict.values().get(i)));
      }
      return map;
    }
    return all(((Node.ListOf) expression).items());
  }

  private Object optional(Expression expression) {
    return expression == null ? null : evaluate(expression);
  }

  private List<Object> all(List<Expression> expressions) {
    List<Object> values = new ArrayList<>(expressions.size());
    for (Expression expression : expressions) {
      values.add(evaluate(expression));
    }
    return values;
  }

  private Arguments arguments(Node.Arguments arguments) {
    Map<String, Object> named = new LinkedHashMap<>();
    arguments.named().forEach((name, value) -> named.put(name, evaluate(value)));
    return new Arguments(all(arguments.positional()), named);
  }

  private Object call(Node.Call call) {
    Object target = evaluate(call.target());
    if (target instanceof Callable callable) {
      return callable.call(arguments(call.arguments()));
    }
    String name =
        call.target() instanceof Node.Name plain
            ? plain.name()
            : call.target() instanceof Node.Attribute attribute ? attribute.name() : "value";
    throw Values.error(
        line, "%s() is not a function that templates have".formatted(Values.shortened(name)));
  }

  /** {@code default} and the like must see what is undefined; they get it as it is. */
  private Object filter(Node.Filter filter) {
    Object target = evaluate(filter.target());
    return Filters.apply(filter.name(), target, arguments(filter.arguments()));
  }

  /** And, or give an operand back, not a truth value. */
  private Object binary(Node.Binary binary) {
    Object left = evaluate(binary.left());
    return switch (binary.operator()) {
      case "and" -> Values.truthy(left) ? evaluate(binary.right()) : left;
      case "or" -> Values.truthy(left) ? left : evaluate(binary.right());
      default -> Operators.binary(binary.operator(), left, evaluate(binary.right()));
    };
  }

  private boolean comparison(Node.Comparison comparison) {
    Object left = evaluate(comparison.operands().get(0));
    for (int i = 0; i < comparison.operators().size(); i++) {
      Object right = evaluate(comparison.operands().get(i + 1));
      if (!Operators.compares(comparison.operators().get(i), left, right)) {
        return false;
      }
      left = right;
    }
    return true;
  }
}
