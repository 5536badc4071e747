package io.reflux.model.chat;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.StringLength;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@SuppressWarnings("StringConcatToTextBlock") // the line feeds are what is tested
class ChatTemplateTest {
  private static final Map<String, String> TOKENS = Map.of("bos_token", "<s>", "eos_token", "</s>");
  private static final ChatMessage SYSTEM = new ChatMessage("system", " Be brief. ");
  private static final ChatMessage USER = ChatMessage.user("Where is my parcel?");
  private static final ChatMessage ASSISTANT =
      new ChatMessage("assistant", "<think>\nLook it up.\n</think>\n\nOn its way.");
  private static final ChatMessage THANKS = ChatMessage.user("Thanks");

  @TempDir Path directory;

  /** In the style of ChatML. */
  private static final String CHATML =
      """
      {% if messages[0]['role'] != 'system' %}
      {{ '<|im_start|>system\\nHelp.<|im_end|>\\n' }}
      {% endif %}
      {% for turn in messages %}
      {{ '<|im_start|>' + turn['role'] + '\\n' + turn['content'] + '<|im_end|>' + '\\n' }}
      {% endfor %}
      {% if add_generation_prompt %}
      {{ '<|im_start|>assistant\\n' }}
      {% endif %}
      """;

  @Test
  void chatMlStyle() {
    // Of the line feeds that follow output tags each stays, as transformers leaves them.
    assertThat(ChatTemplate.of(CHATML, TOKENS).render(List.of(USER), true))
        .isEqualTo(
            "<|im_start|>system\nHelp.<|im_end|>\n\n"
                + "<|im_start|>user\nWhere is my parcel?<|im_end|>\n\n"
                + "<|im_start|>assistant\n\n");
    assertThat(ChatTemplate.of(CHATML, TOKENS).render(List.of(SYSTEM, USER), false))
        .isEqualTo(
            "<|im_start|>system\n Be brief. <|im_end|>\n\n"
                + "<|im_start|>user\nWhere is my parcel?<|im_end|>\n\n");
  }

  @Test
  void llama3Style() {
    String template =
        """
        {{- bos_token }}
        {#- the first message may set the scene -#}
        {%- if not day is defined -%}
            {%- set day = strftime_now('%d %b %Y') if strftime_now is defined else 'unknown' %}
        {%- endif %}
        {%- if messages[0].role == 'system' %}
            {%- set scene = messages[0].content | trim %}
            {%- set messages = messages[1:] %}
        {%- else %}
            {%- set scene = '' %}
        {%- endif %}
        {{- '<|head|>system<|/head|>\\n\\nToday: ' ~ day ~ '\\n\\n' + scene + '<|eot|>' }}
        {%- for m in messages %}
            {%- if not (m.role == 'tool' or 'tool_calls' in m) %}
                {{- '<|head|>' + m.role + '<|/head|>\\n\\n' + m['content'] | trim + '<|eot|>' }}
            {%- else %}
                {{- raise_exception('no tools here') }}
            {%- endif %}
        {%- endfor %}
        {%- if add_generation_prompt %}{{- '<|head|>assistant<|/head|>\\n\\n' }}{%- endif %}
        """;
    Clock clock = Clock.fixed(Instant.parse("2025-03-09T10:00:00Z"), ZoneOffset.UTC);

    assertThat(ChatTemplate.of(template, TOKENS, clock).render(List.of(SYSTEM, USER), true))
        .isEqualTo(
            "<s><|head|>system<|/head|>\n\nToday: 09 Mar 2025\n\nBe brief.<|eot|>"
                + "<|head|>user<|/head|>\n\nWhere is my parcel?<|eot|>"
                + "<|head|>assistant<|/head|>\n\n");
    assertThatThrownBy(
            () ->
                ChatTemplate.of(template, TOKENS, clock)
                    .render(List.of(USER, new ChatMessage("tool", "{}")), true))
        .isInstanceOf(ModelException.class)
        .hasMessage("chat template: no tools here");
  }

  @Test
  void mistralStyle() {
    String template =
        """
        {%- set turns = messages[1:] if messages[0].role == 'system' else messages %}
        {%- set state = namespace(expected='user', count=0) %}
        {%- set users = turns | selectattr('role', 'equalto', 'user') | list %}
        {{- bos_token }}
        {%- for m in turns %}
            {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
                {{- raise_exception('roles must take turns') }}
            {%- endif %}
            {%- set state.count = state.count + 1 %}
            {%- if m.role == 'user' %}
                {{- '[INST] ' }}
                {%- if m == users[-1] and messages[0].role == 'system' %}
                    {{- messages[0].content.strip() + '\\n\\n' }}
                {%- endif %}
                {{- m.content + ' [/INST]' }}
            {%- else %}
                {{- ' ' + m.content.split('</think>')[-1] | trim + eos_token }}
            {%- endif %}
        {%- endfor %}
        """;
    ChatTemplate mistral = ChatTemplate.of(template, TOKENS);

    assertThat(mistral.render(List.of(SYSTEM, USER, ASSISTANT, THANKS), true))
        .isEqualTo(
            "<s>[INST] Where is my parcel? [/INST] On its way.</s>"
                + "[INST] Be brief.\n\nThanks [/INST]");
    assertThatThrownBy(() -> mistral.render(List.of(USER, USER), true))
        .isInstanceOf(ModelException.class)
        .hasMessage("chat template: roles must take turns");
  }

  @Test
  void qwen3Style() {
    String template =
        """
        {%- set ns = namespace(searching=true, last=messages|length - 1) %}
        {%- for m in messages[::-1] %}
            {%- set place = (messages|length - 1) - loop.index0 %}
            {%- if ns.searching and m.role == 'user' and not m.content.startswith('<tool>') %}
                {%- set ns.searching = false %}
                {%- set ns.last = place %}
            {%- endif %}
        {%- endfor %}
        {%- for m in messages %}
            {%- set text = m.content if m.content is string else '' %}
            {%- set thought = '' %}
            {%- if m.role == 'assistant' and '</think>' in text %}
                {%- set thought = text.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set text = text.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
            {{- '<|im_start|>' + m.role + '\\n' }}
            {%- if thought and loop.index0 > ns.last %}
                {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}
            {%- endif %}
            {{- text + '<|im_end|>\\n' }}
        {%- endfor %}
        {%- if add_generation_prompt %}
            {{- '<|im_start|>assistant\\n' }}
            {%- if enable_thinking is defined and enable_thinking is false %}
                {{- '<think>\\n\\n</think>\\n\\n' }}
            {%- endif %}
        {%- endif %}
        """;
    ChatTemplate qwen = ChatTemplate.of(template, TOKENS);

    assertThat(qwen.render(List.of(USER, ASSISTANT, THANKS), true))
        .as("thoughts before the last question are dropped")
        .isEqualTo(
            "<|im_start|>user\nWhere is my parcel?<|im_end|>\n"
                + "<|im_start|>assistant\nOn its way.<|im_end|>\n"
                + "<|im_start|>user\nThanks<|im_end|>\n"
                + "<|im_start|>assistant\n");
    assertThat(qwen.render(List.of(USER, ASSISTANT), false))
        .as("thoughts after it stay")
        .endsWith("assistant\n<think>\nLook it up.\n</think>\n\nOn its way.<|im_end|>\n");
  }

  @Property(tries = 200)
  void contentIsNeverReadAsTemplate(@ForAll String content) {
    String rendered =
        ChatTemplate.of("[{{ messages[0].content }}]", TOKENS)
            .render(List.of(ChatMessage.user(content + "{{ bos_token }}{% if %}")), false);

    assertThat(rendered).isEqualTo("[" + content + "{{ bos_token }}{% if %}]");
  }

  @Property(tries = 1000)
  void anyTemplateEitherRendersOrFailsInOneLine(@ForAll long seed) {
    String[] parts = {
      "{%",
      "%}",
      "{{",
      "}}",
      "{#",
      "#}",
      "-",
      " if ",
      " for ",
      " in ",
      " set ",
      " endif ",
      " endfor ",
      " else ",
      "x",
      "=",
      "(",
      ")",
      "[",
      "]",
      "'",
      "\"",
      "|",
      "trim",
      ".",
      ",",
      "1",
      " is ",
      " not ",
      "messages",
      "\n",
      "macro ",
      "raw ",
      "{",
      "}",
      ":",
      "~",
      "*",
      "content"
    };
    java.util.Random random = new java.util.Random(seed);
    StringBuilder template = new StringBuilder();
    for (int i = random.nextInt(25); i >= 0; i--) {
      template.append(parts[random.nextInt(parts.length)]);
    }
    assertRendersOrFailsInOneLine(template.toString());
  }

  @Property(tries = 300)
  void anyTextAsTemplateEitherRendersOrFailsInOneLine(@ForAll @StringLength(max = 40) String text) {
    assertRendersOrFailsInOneLine("{{" + text + "}}");
    assertRendersOrFailsInOneLine("{% if " + text + " %}x{% endif %}");
  }

  @Test
  void endlessTemplatesAreStopped() {
    for (String template :
        List.of(
            "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "{{ 'a' * 999999999999 }}",
            "{{ [1] * 999999999 }}",
            "{{ 9 ** 999999999 }}",
            "{{ range(999999999999) }}",
            "{{ " + "(".repeat(5000) + "1" + ")".repeat(5000) + " }}",
            "{{ " + "-".repeat(5000) + "1 }}",
            "{{ 1" + "+1".repeat(50_000) + " }}",
            "{{ x" + ".a".repeat(50_000) + " }}",
            "{% if 1 %}".repeat(5000) + "{% endif %}".repeat(5000),
            "{% for i in range(90000) %}{{ 'x' * 1000 }}{% endfor %}")) {
      assertThatThrownBy(() -> render(template))
          .as("%.60s", template)
          .isInstanceOf(ModelException.class)
          .hasMessageStartingWith("chat template: ");
    }
  }

  @Test
  void nothingOfJavaCanBeReached() {
    for (String expression :
        List.of(
            "''.getClass()",
            "''.class",
            "messages.getClass().forName('java.lang.Runtime')",
            "messages[0].__class__.__mro__",
            "bos_token.chars()",
            "range.call",
            "self",
            "request",
            "cycler.__init__.__globals__")) {
      String rendered;
      try {
        rendered = render("{{ " + expression + " }}");
      } catch (ModelException e) {
        continue;
      }
      assertThat(rendered).as(expression).isEmpty();
    }
    assertThatThrownBy(() -> render("{% include '/etc/passwd' %}"))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("line 1: tag: include");
    assertThatThrownBy(() -> render("{{ messages.append(1) }}"))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("append() is not a function");
  }

  @Test
  void whatIsNotSupportedIsNamedWithItsLine() {
    assertFails("a\nb\n{{ bos_token | frobnicate }}", "filter: frobnicate: no such filter");
    assertFails("a\n{% autoescape true %}", "line 2: tag: autoescape (expected: if, for");
    assertFails("{{ bos_token is frobnicated }}", "is frobnicated: no such test");
    assertFails("\n{{ frobnicate() }}", "line 2: frobnicate() is not a function");
    assertFails("{{ nobody.name }}", "'nobody' is undefined (expected: something with name)");
    assertFails("{{ 'a' + nobody }}", "(expected: two strings, lists or numbers)");
    assertFails("{% if true %}", "unexpected end");
    assertFails("{{ 'open", "string without an end");
    assertFails("{% break %}", "break outside of a loop");
  }

  @Test
  void foundInTokenizerConfigAsTextOrAsTheDefaultOfSeveral() throws IOException {
    assertThat(ChatTemplate.load(directory)).isEmpty();
    config("{\"bos_token\":\"<b>\",\"chat_template\":null}");
    assertThat(ChatTemplate.load(directory)).isEmpty();
    config("{\"bos_token\":\"<b>\",\"chat_template\":\"{{ bos_token }}1\"}");
    assertThat(loaded()).isEqualTo("<b>1");
    config(
        """
        {"bos_token":{"content":"<c>","lstrip":false},"eos_token":null,"chat_template":[
          {"name":"tool_use","template":"no"},{"name":"default","template":"{{ bos_token }}2"}]}
        """);
    assertThat(loaded()).isEqualTo("<c>2");
    config("{\"chat_template\":[{\"name\":\"rag\",\"template\":\"no\"}]}");
    assertThatThrownBy(() -> ChatTemplate.load(directory))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("tokenizer_config.json: chat_template: no default");
  }

  @Test
  void ownFileComesBeforeTokenizerConfig() throws IOException {
    config("{\"chat_template\":\"old\"}");
    Files.writeString(directory.resolve("special_tokens_map.json"), "{\"bos_token\":\"<m>\"}");
    Files.writeString(directory.resolve("chat_template.jinja"), "{{ bos_token }}new\n");

    assertThat(loaded()).isEqualTo("<m>new");
  }

  @Test
  void fingerprintTellsTemplatesAndTokensApart() {
    String fingerprint = ChatTemplate.of("a", TOKENS).fingerprint();

    assertThat(fingerprint).hasSize(64).isEqualTo(ChatTemplate.of("a", TOKENS).fingerprint());
    assertThat(ChatTemplate.of("b", TOKENS).fingerprint()).isNotEqualTo(fingerprint);
    assertThat(ChatTemplate.of("a", Map.of()).fingerprint()).isNotEqualTo(fingerprint);
  }

  private void config(String json) throws IOException {
    Files.writeString(directory.resolve("tokenizer_config.json"), json);
  }

  private String loaded() {
    return ChatTemplate.load(directory).orElseThrow().render(List.of(USER), true);
  }

  private static String render(String template) {
    return ChatTemplate.of(template, TOKENS).render(List.of(USER), true);
  }

  private static void assertFails(String template, String message) {
    assertThatThrownBy(() -> render(template))
        .as(template)
        .isInstanceOf(ModelException.class)
        .message()
        .startsWith("chat template: ")
        .contains(message)
        .doesNotContain("\n");
  }

  private static void assertRendersOrFailsInOneLine(String template) {
    try {
      assertThat(render(template)).isNotNull();
    } catch (ModelException e) {
      assertThat(e.getMessage()).startsWith("chat template: ").doesNotContain("\n");
    }
  }
}
