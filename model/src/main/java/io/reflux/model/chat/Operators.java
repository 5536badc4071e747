package io.reflux.model.chat;

import io.reflux.model.chat.Values.Undefined;
import java.util.ArrayList;
import java.util.List;

/** Python's operators on a template's values. */
final class Operators {
  private static final int MAX_ITEMS = 1 << 20;

  private Operators() {}

  static Object unary(String operator, Object operand) {
    if (operator.equals("not")) {
      return !Values.truthy(operand);
    }
    requireNumeric(operator, operand);
    if (operand instanceof Double number) {
      return operator.equals("-") ? -number : number;
    }
    long number = Values.toLong(operand, operator);
    return exact(operator, () -> operator.equals("-") ? Math.negateExact(number) : number);
  }

  static Object binary(String operator, Object left, Object right) {
    return switch (operator) {
      case "~" -> Values.checked(Values.str(left) + Values.str(right));
      case "+" -> plus(left, right);
      case "*" -> times(left, right);
      default -> arithmetic(operator, left, right);
    };
  }

  static boolean compares(String operator, Object left, Object right) {
    return switch (operator) {
      case "==" -> Values.equal(left, right);
      case "!=" -> !Values.equal(left, right);
      case "in" -> Values.contains(right, left);
      case "not in" -> !Values.contains(right, left);
      case "<" -> Values.compare(left, right) < 0;
      case "<=" -> Values.compare(left, right) <= 0;
      case ">" -> Values.compare(left, right) > 0;
      default -> Values.compare(left, right) >= 0;
    };
  }

  private static Object plus(Object left, Object right) {
    if (left instanceof String a && right instanceof String b) {
      return Values.checked(a + b);
    }
    if (left instanceof List<?> a && right instanceof List<?> b) {
      List<Object> joined = new ArrayList<>(a);
      joined.addAll(b);
      return bounded(joined);
    }
    return arithmetic("+", left, right);
  }

  private static Object times(Object left, Object right) {
    if (left instanceof String text && right instanceof Long count) {
      return repeated(text, count);
    }
    if (left instanceof Long count && right instanceof String text) {
      return repeated(text, count);
    }
    if (left instanceof List<?> list && right instanceof Long count) {
      List<Object> repeated = new ArrayList<>();
      for (long i = 0; i < count && !list.isEmpty(); i++) {
        repeated.addAll(list);
        bounded(repeated);
      }
      return repeated;
    }
    return arithmetic("*", left, right);
  }

  private static String repeated(String text, long count) {
    if (count > 0 && text.length() * (double) count > Values.MAX_CHARACTERS) {
      throw Values.error("text over %d characters".formatted(Values.MAX_CHARACTERS));
    }
    return text.repeat((int) Math.max(0, text.isEmpty() ? 0 : count));
  }

  private static Object arithmetic(String operator, Object left, Object right) {
    requireNumeric(operator, left);
    requireNumeric(operator, right);
    boolean whole = !(left instanceof Double) && !(right instanceof Double);
    boolean divides = "/ // %".contains(operator);
    if (divides && Values.toDouble(right) == 0) {
      throw Values.error(operator + ": division by zero");
    }
    if (whole && !operator.equals("/")) {
      long a = Values.toLong(left, operator);
      long b = Values.toLong(right, operator);
      if (!operator.equals("**") || b >= 0) {
        return exact(operator, () -> whole(operator, a, b));
      }
    }
    double a = Values.toDouble(left);
    double b = Values.toDouble(right);
    return switch (operator) {
      case "+" -> a + b;
      case "-" -> a - b;
      case "*" -> a * b;
      case "/" -> a / b;
      case "//" -> Math.floor(a / b);
      case "%" -> a - Math.floor(a / b) * b;
      default -> Math.pow(a, b);
    };
  }

  private static long whole(String operator, long a, long b) {
    return switch (operator) {
      case "+" -> Math.addExact(a, b);
      case "-" -> Math.subtractExact(a, b);
      case "*" -> Math.multiplyExact(a, b);
      case "//" -> Math.floorDiv(a, b);
      case "%" -> Math.floorMod(a, b);
      default -> {
        long power = 1;
        for (long i = 0; i < Math.min(b, 64) || (i < b && (a < -1 || a > 1)); i++) {
          power = Math.multiplyExact(power, a);
        }
        // Beyond 64 factors only -1, 0 and 1 are left, and of those only -1 still alternates.
        yield a == -1 ? (b % 2 == 0 ? 1 : -1) : power;
      }
    };
  }

  private static Object exact(String operator, java.util.function.LongSupplier operation) {
    try {
      return operation.getAsLong();
    } catch (ArithmeticException e) {
      throw Values.error(operator + ": result over 64 bits");
    }
  }

  private static void requireNumeric(String operator, Object value) {
    if (!Values.isNumeric(value)) {
      throw Values.error(
          "%s: %s (expected: %s)"
              .formatted(
                  operator,
                  value instanceof Undefined undefined
                      ? "'" + Values.shortened(undefined.name()) + "' is undefined"
                      : Values.type(value),
                  operator.equals("+") ? "two strings, lists or numbers" : "a number"));
    }
  }

  private static List<Object> bounded(List<Object> list) {
    if (list.size() > MAX_ITEMS) {
      throw Values.error("list over %d items".formatted(MAX_ITEMS));
    }
    return list;
  }
}
