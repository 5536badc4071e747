package io.reflux.inspect;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.model.tokenizer.Tokenizer;
import java.nio.file.Path;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;

class TokenTextTest {
  private static final Path TEACHER = Path.of("src/main/resources/teacher");

  @Test
  void nothingInATextMovesTheCursorOrTurnsTheWriting() {
    assertThat(TokenText.visible("a\n\t\u001b[2J\u0007\u202e\u200b\u00a0\\"))
        .isEqualTo("a\\n\\t\\u{1b}[2J\\u{7}\\u{202e}\\u{200b}\\u{a0}\\\\");
    assertThat(TokenText.visible("\u0301e\u0301")).isEqualTo("◌\u0301e\u0301");
  }

  @Property(tries = 300)
  void everyTextStaysOnItsLineAndWithinItsWidth(
      @ForAll @StringLength(max = 40) String text, @ForAll @IntRange(min = 2, max = 30) int width) {
    String visible = TokenText.visible(text);
    assertThat(visible.codePoints().map(Character::getType).toArray())
        .doesNotContain(
            (int) Character.CONTROL,
            (int) Character.FORMAT,
            (int) Character.LINE_SEPARATOR,
            (int) Character.PARAGRAPH_SEPARATOR);
    assertThat(TokenText.width(TokenText.cut(visible, width))).isLessThanOrEqualTo(width);
    assertThat(TokenText.width(TokenText.cutStart(visible, width))).isLessThanOrEqualTo(width);
  }

  @Test
  void aPartOfACharacterIsShownAsItsBytes() {
    Tokenizer tokenizer = Tokenizer.load(TEACHER);
    TokenText text = TokenText.of(tokenizer);
    int[] parrot = tokenizer.encode("🦜", false);
    assertThat(parrot).hasSizeGreaterThan(1);
    assertThat(text.visible(parrot[0])).startsWith("\\xF0");
    assertThat(text.line(parrot, 0, parrot.length)).isEqualTo("🦜");
    int[] words = tokenizer.encode("where is my order", false);
    StringBuilder joined = new StringBuilder();
    for (int id : words) {
      joined.append(text.visible(id));
    }
    assertThat(joined).hasToString("where␣is␣my␣order");
    assertThat(text.visible(1_000_000)).isEqualTo("#1000000");
    assertThat(TokenText.ids().visible(7)).isEqualTo("#7");
  }

  @Test
  void wideCharactersTakeTwoColumns() {
    assertThat(TokenText.width("漢字")).isEqualTo(4);
    assertThat(TokenText.width("é")).isEqualTo(1);
    assertThat(TokenText.width("e\u0301")).isEqualTo(1);
    assertThat(TokenText.cut("漢字漢字", 5)).isEqualTo("漢字…");
    assertThat(TokenText.cutStart("漢字漢字", 4)).isEqualTo("…字");
  }
}
