package io.reflux.inspect;

import io.reflux.model.tokenizer.TokenBytes;
import io.reflux.model.tokenizer.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.jline.utils.WCWidth;

/**
 * Text of tokens that keeps to its line: a space is ␣, other white space, control and invisible
 * characters are escaped, and bytes that are only a part of a character are \xE2. Nothing that
 * stands in somebody's traffic can move the cursor or turn the writing.
 *
 * <p>Belongs to one thread.
 */
public final class TokenText {
  private static final String SPACE = "␣";

  /** What a combining mark stands on that has nothing before it. */
  private static final String DOTTED_CIRCLE = "◌";

  private final TokenBytes bytes;
  private final Map<Integer, String> known = new HashMap<>();

  private TokenText(TokenBytes bytes) {
    this.bytes = bytes;
  }

  /** Text by a tokenizer. */
  public static TokenText of(Tokenizer tokenizer) {
    return new TokenText(tokenizer.bytes());
  }

  /** Numbers alone, where no tokenizer is known. */
  public static TokenText ids() {
    return new TokenText(null);
  }

  /** Whether there is a tokenizer. */
  public boolean isText() {
    return bytes != null;
  }

  /** A token, visibly; {@code #17} for one without text. */
  public String visible(int id) {
    return known.computeIfAbsent(
        id, wanted -> bytesOf(wanted).map(TokenText::visible).orElse("#" + wanted));
  }

  /** Some tokens one after another, visibly, spaces as they are. */
  public String line(int[] ids, int from, int to) {
    ByteArrayOutputStream joined = new ByteArrayOutputStream();
    for (int i = from; i < to; i++) {
      joined.writeBytes(
          bytesOf(ids[i]).orElse(("#" + ids[i] + " ").getBytes(StandardCharsets.UTF_8)));
    }
    return visible(joined.toByteArray()).replace(SPACE, " ");
  }

  /** Some tokens one after another as they stand. */
  String plain(int[] ids, int from, int to) {
    ByteArrayOutputStream joined = new ByteArrayOutputStream();
    for (int i = from; i < to; i++) {
      bytesOf(ids[i]).ifPresent(joined::writeBytes);
    }
    return joined.toString(StandardCharsets.UTF_8);
  }

  /** A token as it stands, bytes that are no character as U+FFFD; empty for one without text. */
  Optional<String> plain(int id) {
    return bytesOf(id).map(token -> new String(token, StandardCharsets.UTF_8));
  }

  private Optional<byte[]> bytesOf(int id) {
    return bytes == null ? Optional.empty() : bytes.of(id);
  }

  /** Any text, visibly, spaces as they are. */
  static String visible(String text) {
    return visible(text.getBytes(StandardCharsets.UTF_8)).replace(SPACE, " ");
  }

  private static String visible(byte[] utf8) {
    CharsetDecoder decoder =
        StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
    ByteBuffer in = ByteBuffer.wrap(utf8);
    CharBuffer out = CharBuffer.allocate(utf8.length + 1);
    StringBuilder text = new StringBuilder();
    while (in.hasRemaining()) {
      CoderResult result = decoder.decode(in, out, true);
      out.flip();
      out.codePoints().forEach(codePoint -> append(codePoint, text));
      out.clear();
      for (int i = 0; result.isError() && i < result.length(); i++) {
        text.append(String.format("\\x%02X", in.get()));
      }
      decoder.reset();
    }
    return text.toString();
  }

  private static void append(int codePoint, StringBuilder text) {
    switch (codePoint) {
      case ' ' -> text.append(SPACE);
      case '\n' -> text.append("\\n");
      case '\r' -> text.append("\\r");
      case '\t' -> text.append("\\t");
      case '\\' -> text.append("\\\\");
      default -> {
        switch (Character.getType(codePoint)) {
          case Character.CONTROL,
              Character.FORMAT,
              Character.SURROGATE,
              Character.PRIVATE_USE,
              Character.UNASSIGNED,
              Character.LINE_SEPARATOR,
              Character.PARAGRAPH_SEPARATOR,
              Character.SPACE_SEPARATOR ->
              text.append("\\u{").append(Integer.toHexString(codePoint)).append('}');
          case Character.NON_SPACING_MARK, Character.ENCLOSING_MARK ->
              text.append(text.length() == 0 ? DOTTED_CIRCLE : "").appendCodePoint(codePoint);
          default -> text.appendCodePoint(codePoint);
        }
      }
    }
  }

  /** Columns of a terminal that visible text takes. */
  static int width(String visible) {
    return visible.codePoints().map(codePoint -> Math.max(0, WCWidth.wcwidth(codePoint))).sum();
  }

  /** Visible text cut to a width, with an ellipsis where something is missing. */
  static String cut(String visible, int width) {
    if (width(visible) <= width) {
      return visible;
    }
    StringBuilder cut = new StringBuilder();
    int taken = 0;
    for (int codePoint : visible.codePoints().toArray()) {
      int columns = Math.max(0, WCWidth.wcwidth(codePoint));
      if (taken + columns > width - 1) {
        break;
      }
      cut.appendCodePoint(codePoint);
      taken += columns;
    }
    return cut.append('…').toString();
  }

  /** As {@link #cut}, but the end is kept. */
  static String cutStart(String visible, int width) {
    int[] codePoints = visible.codePoints().toArray();
    if (width(visible) <= width) {
      return visible;
    }
    int first = codePoints.length;
    int taken = 1;
    while (first > 0) {
      taken += Math.max(0, WCWidth.wcwidth(codePoints[first - 1]));
      if (taken > width) {
        break;
      }
      first--;
    }
    return "…" + new String(codePoints, first, codePoints.length - first);
  }
}
