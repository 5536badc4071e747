package io.reflux.model.chat;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What Jinja2 3.1.6 makes of the same templates; each expected text was printed by it. */
class ExpressionsTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '#',
      quoteCharacter = '`',
      ignoreLeadingAndTrailingWhitespace = true,
      value = {
        "7 // 2 # 3",
        "-7 // 2 # -4",
        "-7 % 3 # 2",
        "7 / 2 # 3.5",
        "6 / 2 # 3.0",
        "2 ** 10 # 1024",
        "1e16 # 1e+16",
        "0.00001 # 1e-05",
        "0.0001 # 0.0001",
        "(x + 1) ~ 'b' # 4b",
        "-x|abs # 3",
        "s[0] ~ s[-1] # A😀",
        "s[::-1] # 😀é-Dc bA",
        "s[1:4:2] # bc",
        "s[:-2] # Ab cD-",
        "l[::-1] # [2, 1, 3]",
        "l[-2:] # [1, 2]",
        "l[9] # ``",
        "s|length # 8",
        "s.upper() # AB CD-É😀",
        "s.title() # Ab Cd-É😀",
        "' a b  c '.split() # ['a', 'b', 'c']",
        "'a,b,,c'.split(',') # ['a', 'b', '', 'c']",
        "'a,b,,c'.rsplit(',', 1) # ['a,b,', 'c']",
        "'a b c'.split(none, 1) # ['a', 'b c']",
        "'xxaxx'.strip('x') # a",
        "'aXbX'.replace('X', '-') # a-b-",
        "s.startswith(('q', 'Ab')) # True",
        "'-'.join(words) # b-A-c-a",
        "d.get('zz', 'q') # q",
        "d.get('zz') # None",
        "d.zz # ``",
        "'a' in d and 'z' not in d # True",
        "1 < 2 < 3 # True",
        "1 < 3 < 2 # False",
        "x and s # Ab cD-é😀",
        "e or 'other' # other",
        "not e # True",
        "nobody is none # False",
        "nobody is defined # False",
        "n is none # True",
        "x == 3.0 # True",
        "true == 1 # True",
        "'a' if e else 'b' # b",
        "('a' if e) ~ '.' # .",
        "x is odd and x is divisibleby 3 # True",
        "x is in [1, 3] # True",
        "x is not divisibleby 2 and true # True",
        "words|sort # ['A', 'a', 'b', 'c']",
        "words|sort(case_sensitive=true) # ['A', 'a', 'b', 'c']",
        "words|map('upper')|join(',') # B,A,C,A",
        "people|map(attribute='name')|join(', ') # Ann, Bo",
        "people|selectattr('age', 'gt', 40)|map(attribute='name')|list # ['Bo']",
        "people|rejectattr('age', 'gt', 40)|list|length # 1",
        "l|select('odd')|list # [3, 1]",
        "l|sum # 6",
        "l|first ~ l|last ~ l|max ~ l|min # 3231",
        "nobody|default('z') # z",
        "e|default('z') # ``",
        "e|default('z', true) # z",
        "d|tojson # {\"b\": 1, \"a\": {\"q\": null}}",
        "d|tojson(sort_keys=true) # {\"a\": {\"q\": null}, \"b\": 1}",
        "d|tojson(separators=(',', ':')) # {\"b\":1,\"a\":{\"q\":null}}",
        "'é'|tojson # \"é\"",
        "'é'|tojson(ensure_ascii=true) # \"\\u00e9\"",
        "[1, 'a', none, true, 2.5] # [1, 'a', None, True, 2.5]",
        "\"it's\"|list|length # 4",
        "[\"it's\"] # [\"it's\"]",
        "'5.7'|int # 5",
        "'x'|int(3) # 3",
        "2.567|round(2) # 2.57",
        "[1, 1, 2]|unique|list # [1, 2]",
        "range(3, 0, -1)|list # [3, 2, 1]",
        "dict(a=1).a # 1",
        "'%' ~ 5 # %5"
      })
  void evaluatesAsJinjaDoes(String expression, String expected) {
    assertThat(render("{{ " + expression + " }}")).as(expression).isEqualTo(expected);
  }

  @Test
  void scopesAndLoops() {
    assertThat(render("{% set q = 1 %}{% for i in l %}{% set q = i %}{% endfor %}{{ q }}"))
        .isEqualTo("1");
    assertThat(render("{% set q = 1 %}{% if true %}{% set q = 2 %}{% endif %}{{ q }}"))
        .isEqualTo("2");
    assertThat(
            render(
                "{% for i in l if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% endfor %}"))
        .isEqualTo("1/2:3 2/2:2 ");
    assertThat(render("{% for i in [] %}{{ i }}{% else %}none{% endfor %}")).isEqualTo("none");
    assertThat(render("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}"))
        .isEqualTo("b=1;a={'q': None};");
    assertThat(
            render("{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}"))
        .isEqualTo("32");
    assertThat(render("{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}"))
        .isEqualTo("3");
    assertThat(
            render(
                "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }}"
                    + "{{ loop.cycle('a', 'b') }}{{ loop.revindex0 }};{% endfor %}"))
        .isEqualTo("<3>1a2;3<1>2b1;1<2>a0;");
  }

  @Test
  void macrosAndBlocks() {
    assertThat(
            render(
                "{% macro f(a, b='q') %}[{{ a }}{{ b }}]{% endmacro %}"
                    + "{{ f(1) }}{{ f(1, 2) }}{{ f(b=3, a=4) }}{{ f() }}"))
        .isEqualTo("[1q][12][43][q]");
    assertThat(render("{% set t | upper %}a{{ x }}{% endset %}{{ t }}{{ t | length }}"))
        .isEqualTo("A32");
    assertThat(render("{% filter trim | upper %} abc {% endfilter %}")).isEqualTo("ABC");
    assertThat(render("{% with a = 1, b = x %}{{ a }}{{ b }}{% endwith %}{{ a }}")).isEqualTo("13");
    assertThat(render("{% generation %}a{% endgeneration %}b")).isEqualTo("ab");
    assertThat(render("{% raw %}{{ x }}{% if %}{% endraw %}z")).isEqualTo("{{ x }}{% if %}z");
  }

  @Test
  void whiteSpaceIsThatOfTransformers() {
    assertThat(render("a\n  {% if true %}\nb\n  {% endif %}\nc\n")).isEqualTo("a\nb\nc");
    assertThat(render("a {% if true %} b {% endif %} c\n\n")).isEqualTo("a  b  c\n");
    assertThat(render("{%- if true -%}  a  {%- endif -%}  b")).isEqualTo("ab");
    assertThat(render("a\n{# c #}\nb")).isEqualTo("a\nb");
    assertThat(render("{%+ if true %}\n a{%+ endif +%}\n b")).isEqualTo(" a\n b");
    assertThat(render("a\r\nb\rc\n")).isEqualTo("a\nb\nc");
    assertThat(render("\t{% if true %}\t\n\ta{% endif %}\n")).isEqualTo("\t\n\ta");
    assertThat(render("{{ '}}' }}{{ '%}' }}{{ {'a': {'b': 1}} }}"))
        .isEqualTo("}}%}{'a': {'b': 1}}");
    assertThat(render("{% raw %}\n a\n{% endraw %}\nb")).isEqualTo("\n a\nb");
  }

  private static String render(String template) {
    Map<String, Object> context = new HashMap<>(Functions.all(java.time.Clock.systemUTC()));
    context.put("x", 3L);
    context.put("s", "Ab cD-é😀");
    context.put("l", List.of(3L, 1L, 2L));
    context.put("e", "");
    context.put("n", null);
    context.put("words", Arrays.asList("b", "A", "c", "a"));
    Map<String, Object> inner = new LinkedHashMap<>();
    inner.put("q", null);
    Map<String, Object> dict = new LinkedHashMap<>();
    dict.put("b", 1L);
    dict.put("a", inner);
    context.put("d", dict);
    context.put(
        "people", List.of(Map.of("name", "Ann", "age", 31L), Map.of("name", "Bo", "age", 50L)));
    return Interpreter.run(TemplateParser.parse(template), context);
  }
}
