package io.reflux.model.chat;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Cuts a Jinja template into text and the tokens of its tags, with the white space rules that
 * transformers sets: trim_blocks and lstrip_blocks on, one closing line feed dropped.
 */
final class TemplateLexer {
  private static final List<String> OPERATORS =
      List.of(
          "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", ".", ",",
          ":", "|", "(", ")", "[", "]", "{", "}");

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int position;
  private int line = 1;

  /** Whether white space before the next text is dropped, by a {@code -} on the tag before. */
  private boolean stripNext;

  /** Whether what was last consumed ended a line. */
  private boolean atLineStart = true;

  private TemplateLexer(String source) {
    this.source = source;
  }

  enum Kind {
    TEXT,
    OUTPUT_BEGIN,
    OUTPUT_END,
    BLOCK_BEGIN,
    BLOCK_END,
    NAME,
    STRING,
    INTEGER,
    FLOAT,
    OPERATOR,
    END
  }

  record Token(Kind kind, String text, int line) {
    boolean is(Kind otherKind, String otherText) {
      return kind == otherKind && text.equals(otherText);
    }
  }

  static List<Token> tokens(String source) {
    String normalised = source.replace("\r\n", "\n").replace('\r', '\n');
    if (normalised.endsWith("\n")) {
      normalised = normalised.substring(0, normalised.length() - 1);
    }
    TemplateLexer lexer = new TemplateLexer(normalised);
    lexer.run();
    return lexer.tokens;
  }

  private void run() {
    while (position < source.length()) {
      int tag = nextTag();
      if (tag < 0) {
        text(source.substring(position), false);
        advance(source.length());
        break;
      }
      char kind = source.charAt(tag + 1);
      char sign = tag + 2 < source.length() ? source.charAt(tag + 2) : ' ';
      String before = source.substring(position, tag);
      if (kind != '{' && sign != '-' && sign != '+') {
        before = withoutIndent(before);
      }
      text(before, sign == '-');
      advance(tag + (sign == '-' || sign == '+' ? 3 : 2));
      switch (kind) {
        case '{' -> tag(Kind.OUTPUT_BEGIN, Kind.OUTPUT_END, "}}");
        case '%' -> block();
        default -> comment();
      }
    }
    tokens.add(new Token(Kind.END, "the end", line));
  }

  private int nextTag() {
    for (int at = source.indexOf('{', position); at >= 0; at = source.indexOf('{', at + 1)) {
      char next = at + 1 < source.length() ? source.charAt(at + 1) : ' ';
      if (next == '{' || next == '%' || next == '#') {
        return at;
      }
    }
    return -1;
  }

  /** lstrip_blocks: a block alone on its line takes its indent away. */
  private String withoutIndent(String text) {
    int lineStart = text.lastIndexOf('\n') + 1;
    boolean startsLine = lineStart > 0 || atLineStart;
    return startsLine && text.substring(lineStart).isBlank() ? text.substring(0, lineStart) : text;
  }

  private void text(String text, boolean stripEnd) {
    String kept = stripNext ? text.stripLeading() : text;
    kept = stripEnd ? kept.stripTrailing() : kept;
    stripNext = false;
    if (!kept.isEmpty()) {
      tokens.add(new Token(Kind.TEXT, kept, line));
    }
  }

  private void comment() {
    int end = source.indexOf("#}", position);
    if (end < 0) {
      throw Values.error(line, "comment without an end (expected: #})");
    }
    char sign = source.charAt(end - 1);
    advance(end + 2);
    afterBlock(sign == '-' || sign == '+' ? sign : ' ');
  }

  private void block() {
    int rawBegin = rawBegin();
    if (rawBegin < 0) {
      tag(Kind.BLOCK_BEGIN, Kind.BLOCK_END, "%}");
      return;
    }
    int started = line;
    boolean stripBody = source.charAt(rawBegin - 3) == '-';
    advance(rawBegin);
    stripNext = stripBody;
    Matcher end = Pattern.compile("\\{%([-+]?)\\s*endraw\\s*([-+]?)%\\}").matcher(source);
    if (!end.find(position)) {
      throw Values.error(started, "raw without an end (expected: endraw)");
    }
    text(source.substring(position, end.start()), end.group(1).equals("-"));
    advance(end.end());
    afterBlock(end.group(2).isEmpty() ? ' ' : end.group(2).charAt(0));
  }

  /** Where the body of a raw block begins, if the tag at hand opens one; else -1. */
  private int rawBegin() {
    Matcher raw = Pattern.compile("\\s*raw\\s*[-+]?%\\}").matcher(source);
    return raw.region(position, source.length()).lookingAt() ? raw.end() : -1;
  }

  private void tag(Kind begin, Kind end, String closing) {
    tokens.add(new Token(begin, source.substring(position - 2, position), line));
    Deque<Character> open = new ArrayDeque<>();
    while (true) {
      skipWhiteSpace();
      if (position >= source.length()) {
        throw Values.error(line, "tag without an end (expected: " + closing + ")");
      }
      boolean signed = "-+".indexOf(source.charAt(position)) >= 0;
      if (open.isEmpty() && source.startsWith(closing, position + (signed ? 1 : 0))) {
        char sign = signed ? source.charAt(position) : ' ';
        tokens.add(new Token(end, closing, line));
        advance(position + (signed ? 3 : 2));
        if (end == Kind.BLOCK_END) {
          afterBlock(sign);
        } else {
          stripNext = sign == '-';
          atLineStart = false;
        }
        return;
      }
      expressionToken(open);
    }
  }

  /** trim_blocks: the line feed right after a block goes. */
  private void afterBlock(char sign) {
    stripNext = sign == '-';
    atLineStart = false;
    if (sign == ' ' && position < source.length() && source.charAt(position) == '\n') {
      advance(position + 1);
      atLineStart = true;
    }
  }

  private void expressionToken(Deque<Character> open) {
    char c = source.charAt(position);
    int start = position;
    if (Character.isJavaIdentifierStart(c) && c != '$') {
      int end = start;
      while (end < source.length()
          && Character.isJavaIdentifierPart(source.charAt(end))
          && source.charAt(end) != '$') {
        end++;
      }
      add(Kind.NAME, end);
    } else if (c >= '0' && c <= '9') {
      number();
    } else if (c == '\'' || c == '"') {
      string(c);
    } else {
      String operator =
          OPERATORS.stream().filter(o -> source.startsWith(o, position)).findFirst().orElse(null);
      if (operator == null) {
        throw Values.error(line, "unexpected character " + c);
      }
      if ("([{".contains(operator)) {
        open.push(c);
      } else if (")]}".contains(operator)) {
        if (open.isEmpty() || "([{".indexOf(open.pop()) != ")]}".indexOf(c)) {
          throw Values.error(line, "unexpected " + c);
        }
      }
      add(Kind.OPERATOR, start + operator.length());
    }
  }

  private void number() {
    int end = digits(position);
    boolean isFloat = false;
    if (end + 1 < source.length()
        && source.charAt(end) == '.'
        && Character.isDigit(source.charAt(end + 1))) {
      isFloat = true;
      end = digits(end + 1);
    }
    if (end < source.length() && "eE".indexOf(source.charAt(end)) >= 0) {
      int exponent = end + 1;
      if (exponent < source.length() && "+-".indexOf(source.charAt(exponent)) >= 0) {
        exponent++;
      }
      if (digits(exponent) > exponent) {
        isFloat = true;
        end = digits(exponent);
      }
    }
    add(isFloat ? Kind.FLOAT : Kind.INTEGER, end);
  }

  private int digits(int start) {
    int end = start;
    while (end < source.length()
        && (source.charAt(end) == '_' || "0123456789".indexOf(source.charAt(end)) >= 0)) {
      end++;
    }
    return end;
  }

  private void string(char quote) {
    StringBuilder text = new StringBuilder();
    int started = line;
    int at = position + 1;
    while (at < source.length() && source.charAt(at) != quote) {
      if (source.charAt(at) == '\\' && at + 1 < source.length()) {
        at = escape(text, at + 1);
      } else {
        text.append(source.charAt(at++));
      }
    }
    if (at >= source.length()) {
      throw Values.error(started, "string without an end");
    }
    advance(at + 1);
    tokens.add(new Token(Kind.STRING, text.toString(), started));
  }

  /** Python's escapes; an unknown one keeps its backslash. */
  private int escape(StringBuilder text, int at) {
    char c = source.charAt(at);
    int simple = "abfnrtv\\'\"".indexOf(c);
    if (simple >= 0) {
      text.append("\u0007\b\f\n\r\t\u000b\\'\"".charAt(simple));
      return at + 1;
    }
    if (c == '\n') {
      return at + 1;
    }
    int length = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (length > 0 && at + 1 + length <= source.length()) {
      String digits = source.substring(at + 1, at + 1 + length);
      if (digits.matches("[0-9a-fA-F]+") && Long.parseLong(digits, 16) <= 0x10FFFF) {
        text.appendCodePoint(Integer.parseInt(digits, 16));
        return at + 1 + length;
      }
    }
    text.append('\\').append(c);
    return at + 1;
  }

  private void add(Kind kind, int end) {
    tokens.add(new Token(kind, source.substring(position, end), line));
    advance(end);
  }

  private void skipWhiteSpace() {
    int end = position;
    while (end < source.length() && Character.isWhitespace(source.charAt(end))) {
      end++;
    }
    advance(end);
  }

  private void advance(int to) {
    for (int i = position; i < to; i++) {
      if (source.charAt(i) == '\n') {
        line++;
      }
    }
    position = to;
  }
}
