package io.reflux.producers.redact;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.service.RefluxException;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RedactorTest {
  private static final Redactor ALL =
      new Redactor(
          EnumSet.allOf(RedactionKind.class),
          List.of("US", "GB", "DE"),
          List.of("Ada Lovelace", "Jörg", "O'Neill", "田中太郎"),
          List.of(CustomRule.of("ticket", "TCK-[0-9]{4,}")));

  private static String redacted(String text) {
    Redaction redaction = ALL.redact(text, Redactor.NO_DEADLINE);
    assertThat(redaction.complete()).isTrue();
    return redaction.text();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "write to ada@example.org, please|write to [EMAIL], please",
        "(ada.b+c@mail.example.co.uk)|([EMAIL])",
        "{o.neill@example.com}|{[EMAIL]}",
        "\"ada l\"@example.org|[EMAIL]",
        "mailto:ada@example.org?subject=x|mailto:[EMAIL]?subject=x",
        "to=ada%40example.org&x=1|to=[EMAIL]&x=1",
        "ジョン＠例え.jp と|[EMAIL] と",
        "почта иван@пример.рф.|почта [EMAIL].",
        "ada@example.org-1 of ada@x-1.org|[EMAIL]-1 of [EMAIL]",
        "root@[192.0.2.1]|[EMAIL]",
        "what about @everyone and a@b|what about @everyone and a@b",
        "4111 1111 1111 1111|[CARD]",
        "card:4111-1111-1111-1111, 12/27|card:[CARD], 12/27",
        "5555555555554444 exp 12/27|[CARD] exp 12/27",
        "4111 1111 1111 1111 12/27|[CARD] 12/27",
        "３７８２ ８２２４６３ １０００５|[CARD]",
        "4111 1111 1111 1112|4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 00|[IBAN]",
        "iban gb29nwbk60161331926819.|iban [IBAN].",
        "DE88 3704 0044 0532 0130 00 is wrong|DE88 3704 0044 0532 0130 00 is wrong",
        "from 203.0.113.9:8080|from [IP]:8080",
        "version 1.2.3.4.5 of it|version 1.2.3.4.5 of it",
        "at 2001:db8::ff00:42:8329.|at [IP].",
        "at 12:30:45 and a::b.|at 12:30:45 and [IP].",
        "call +49 30 901820 now|call [PHONE] now",
        "call (650) 253-0000 now|call [PHONE] now",
        "ring 020 7031 3000|ring [PHONE]",
        "on 2024-01-15 10:30 we met|on 2024-01-15 10:30 we met",
        "order 12345 of 1,250 kettles in 2023|order 12345 of 1,250 kettles in 2023",
        "Dear Ada Lovelace, and ADA LOVELACE's|Dear [NAME], and [NAME]'s",
        "Adalovelace and Ada Byron|Adalovelace and Ada Byron",
        "お客様の田中太郎様|お客様の[NAME]様",
        "JÖRG and o’neill|[NAME] and [NAME]",
        "see TCK-12345|see [CUSTOM]",
        "key sk-proj-abcdefghij1234567890KLMN.|key [SECRET].",
        "AKIAIOSFODNN7EXAMPLE|[SECRET]",
        "Authorization: Bearer abcDEF123456.ghi|Authorization: Bearer [SECRET]",
        "the bearer certificates were late|the bearer certificates were late",
        "password: hunter22, thanks|password: [SECRET], thanks",
        "'{\"api_key\": \"a b c d e\"}'|'{\"api_key\": \"[SECRET]\"}'",
        "postgres://ada:pw@db.example.org/x|postgres://[SECRET]/x",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF_123|[SECRET]",
        "sk-learn is a library and risk-free|sk-learn is a library and risk-free",
        "commit 356a192b7913b04c54574d18c28d46e6395428ab|commit 356a192b7913b04c54574d18c28d46e6395428ab",
      })
  void takesOutWhatItShouldAndNothingElse(String text, String expected) {
    assertThat(redacted(text)).isEqualTo(expected);
  }

  @Test
  void takesOutAPrivateKeyEvenWithoutItsEnd() {
    String begin = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n";
    assertThat(redacted("a\n" + begin + "-----END RSA PRIVATE KEY-----\nb"))
        .isEqualTo("a\n[SECRET]\nb");
    assertThat(redacted("a\n" + begin)).isEqualTo("a\n[SECRET]");
    assertThat(redacted("-----BEGIN CERTIFICATE-----\nMIIE")).endsWith("MIIE");
  }

  @Test
  void findsOnlyWhatIsAskedFor() {
    Redactor cards = new Redactor(Set.of(RedactionKind.CARD), List.of("US"), List.of(), List.of());
    assertThat(cards.redact("ada@example.org 4111111111111111", Redactor.NO_DEADLINE).text())
        .isEqualTo("ada@example.org [CARD]");
  }

  @Test
  void namesWhereEachFindingWas() {
    Redaction redaction = ALL.redact("to ada@example.org", Redactor.NO_DEADLINE);
    assertThat(redaction.findings())
        .containsExactly(new Finding(RedactionKind.EMAIL, "email", 3, 18));
  }

  @Test
  void givesNoTextWhenTheTimeIsOver() {
    Redaction redaction = ALL.redact("ada@example.org", System.nanoTime() - 1);
    assertThat(redaction.complete()).isFalse();
    assertThat(redaction.text()).isNull();
  }

  @Test
  void refusesRulesThatCannotBe() {
    assertThatThrownBy(() -> CustomRule.of("mine", "a(?=b)"))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("mine")
        .hasMessageContaining("expected: an expression in RE2's syntax");
    assertThatThrownBy(() -> CustomRule.of("mine", "x*"))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("at least one character");
  }

  /** What each of these takes a character must not grow with the text. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "@",
        "a@",
        "a.",
        "a@a.",
        "%40",
        "sk-",
        "sk-a1",
        "eyJ",
        "bearer ",
        "basic",
        "password=",
        "pwd:'",
        "://",
        "://a:",
        ":",
        "::1",
        "1:",
        "1",
        "1 ",
        "1.",
        "1-1",
        "(",
        "+1",
        "+1 ",
        "4111 ",
        "DE89 ",
        "DE89",
        "-",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "Ada ",
        "田",
        "aA1",
        "\""
      })
  void takesTimeInProportionToTheText(String part) {
    String small = part.repeat(Math.max(1, 50_000 / part.length()));
    String large = part.repeat(Math.max(1, 800_000 / part.length()));
    redacted(small);
    double one = seconds(small) / small.length();
    double other = seconds(large) / large.length();
    // Sixteen times the text at up to four times as much a character: a square would be sixteen.
    assertThat(other).isLessThan(Math.max(4 * one, 2e-6));
  }

  private static double seconds(String text) {
    double best = Double.MAX_VALUE;
    for (int i = 0; i < 2; i++) {
      long began = System.nanoTime();
      redacted(text);
      best = Math.min(best, (System.nanoTime() - began) / 1e9);
    }
    return best;
  }

  @Property(tries = 2000)
  void whatIsKeptIsTheTextAround(@ForAll @StringLength(max = 200) String text) {
    Redaction redaction = ALL.redact(text, Redactor.NO_DEADLINE);
    StringBuilder expected = new StringBuilder();
    int from = 0;
    for (Finding finding : redaction.findings()) {
      assertThat(finding.start()).isGreaterThanOrEqualTo(from);
      assertThat(finding.end()).isGreaterThan(finding.start()).isLessThanOrEqualTo(text.length());
      expected.append(text, from, finding.start()).append(finding.kind().placeholder());
      from = finding.end();
    }
    assertThat(redaction.text()).isEqualTo(expected.append(text.substring(from)).toString());
  }

  /** A card, account, address or key is found whatever stands around it. */
  @Property(tries = 500)
  void whatStandsAroundDoesNotHide(
      @ForAll long seed, @ForAll @StringLength(max = 30) String before) {
    Random random = new Random(seed);
    String[] secrets = {
      "4111 1111 1111 1111", "DE89370400440532013000", "ada@example.org", "ghp_" + token(random, 36)
    };
    for (String secret : secrets) {
      assertThat(redacted(before + " " + secret + "\n")).doesNotContain(secret);
    }
  }

  private static String token(Random random, int length) {
    StringBuilder token = new StringBuilder("a1");
    while (token.length() < length) {
      token.append((char) ('a' + random.nextInt(26)));
    }
    return token.toString();
  }
}
