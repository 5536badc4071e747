package io.reflux.serving.openai;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;

class StopMatcherTest {
  @Provide
  Arbitrary<List<String>> pieces() {
    return Arbitraries.strings().withChars('a', 'b', 'c').ofMaxLength(4).list().ofMaxSize(12);
  }

  @Provide
  Arbitrary<List<String>> stops() {
    return Arbitraries.strings()
        .withChars('a', 'b', 'c')
        .ofMinLength(1)
        .ofMaxLength(4)
        .list()
        .ofMaxSize(3);
  }

  /** However the text is cut, it ends where the first stop text to be complete begins. */
  @Property
  void cutOfTheTextDoesNotMatter(
      @ForAll("pieces") List<String> pieces, @ForAll("stops") List<String> stops) {
    StopMatcher matcher = new StopMatcher(stops);
    StringBuilder through = new StringBuilder();
    for (String piece : pieces) {
      // One character at a time first finds the stop text that is complete first.
      for (int i = 0; i < piece.length(); i++) {
        through.append(matcher.push(piece.substring(i, i + 1)));
      }
    }
    through.append(matcher.finish());

    String text = String.join("", pieces);
    int end = text.length();
    boolean found = false;
    for (int length = 1; length <= text.length() && !found; length++) {
      for (String stop : stops) {
        int at = text.substring(0, length).indexOf(stop);
        if (at >= 0) {
          end = found ? Math.min(end, at) : at;
          found = true;
        }
      }
    }
    assertThat(through.toString()).isEqualTo(text.substring(0, end));
    assertThat(matcher.stopped()).isEqualTo(found);
  }

  /** What has been let through was never part of a stop text, and is never late without need. */
  @Property
  void textIsHeldBackOnlyWhileItMayBeAStop(
      @ForAll("pieces") List<String> pieces, @ForAll("stops") List<String> stops) {
    StopMatcher matcher = new StopMatcher(stops);
    StringBuilder through = new StringBuilder();
    StringBuilder text = new StringBuilder();
    for (String piece : pieces) {
      text.append(piece);
      through.append(matcher.push(piece));
      if (matcher.stopped()) {
        break;
      }
      assertThat(text.toString()).startsWith(through.toString());
      String held = text.substring(through.length());
      assertThat(held.isEmpty() || stops.stream().anyMatch(stop -> stop.startsWith(held))).isTrue();
    }
    assertThat(stops).noneMatch(stop -> through.toString().contains(stop));
  }

  @Test
  void stopAcrossPiecesIsTrimmed() {
    StopMatcher matcher = new StopMatcher(List.of("\n\nUser:"));
    assertThat(matcher.push("Hello\n")).isEqualTo("Hello");
    assertThat(matcher.push("\nUs")).isEmpty();
    assertThat(matcher.push("er: more")).isEmpty();
    assertThat(matcher.stopped()).isTrue();
    assertThat(matcher.finish()).isEmpty();
  }

  @Test
  void beginningThatComesToNothingIsLetThrough() {
    StopMatcher matcher = new StopMatcher(List.of("END"));
    assertThat(matcher.push("the EN")).isEqualTo("the ");
    assertThat(matcher.push("EMY")).isEqualTo("ENEMY");
    assertThat(matcher.push(" E")).isEqualTo(" ");
    assertThat(matcher.finish()).isEqualTo("E");
  }
}
