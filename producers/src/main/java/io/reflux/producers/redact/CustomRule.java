package io.reflux.producers.redact;

import com.google.re2j.Pattern;
import com.google.re2j.PatternSyntaxException;
import io.reflux.schemas.service.RefluxException;

/**
 * An expression of the user's. RE2's syntax, which has neither look-around nor back-references, and
 * whose time is linear in the text for every expression.
 *
 * @param name for findings and messages
 */
public record CustomRule(String name, Pattern pattern) {
  /**
   * Reads an expression.
   *
   * @throws RefluxException if it is none, or matches the empty text
   */
  public static CustomRule of(String name, String expression) {
    Pattern pattern;
    try {
      pattern = Pattern.compile(expression);
    } catch (PatternSyntaxException e) {
      throw new RefluxException(
          "redaction rule "
              + name
              + ": '"
              + expression
              + "': "
              + e.getDescription()
              + " (expected: an expression in RE2's syntax)");
    }
    if (pattern.matcher("").find()) {
      throw new RefluxException(
          "redaction rule "
              + name
              + ": '"
              + expression
              + "' matches nothing at all (expected: at least one character)");
    }
    return new CustomRule(name, pattern);
  }
}
