package io.reflux.producers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.producers.redact.Redactor;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MirrorConfigTest {
  @Test
  void defaults() {
    MirrorConfig config = MirrorConfigs.of(Map.of());

    assertThat(config.host()).isEqualTo("127.0.0.1");
    assertThat(config.port()).isEqualTo(7070);
    assertThat(config.source()).isEqualTo("mirror");
    assertThat(config.segment()).isEqualTo("default");
    assertThat(config.sampling()).isEqualTo(1);
    assertThat(config.bufferBytes()).isEqualTo(32 << 20);
    assertThat(config.maxRequestBytes()).isEqualTo(1 << 20);
    assertThat(config.maxBodyBytes()).isEqualTo(8 << 20);
    assertThat(config.waitTimeout()).isEqualTo(Duration.ofSeconds(30));
    assertThat(config.drainTimeout()).isEqualTo(Duration.ofSeconds(10));
  }

  @Test
  void whatRedactionCannotBeIsNamed(@TempDir Path directory) throws IOException {
    assertRefused(
        Map.of("redact.kinds", "email,cards"),
        "reflux.mirror.redact.kinds: 'cards' (expected: none, or of secret, card, iban, email");
    assertRefused(
        Map.of("redact.phone-regions", "UK"),
        "reflux.mirror.redact.phone-regions: 'UK' (expected: ISO 3166 codes such as US,GB)");
    assertRefused(
        Map.of("redact.names", directory.resolve("none").toString()), "reflux.mirror.redact.names");
    assertRefused(Map.of("redact.rules.mine", "("), "redaction rule mine: '('");
    Path names = Files.writeString(directory.resolve("names"), "# ours\nAda Lovelace\n");
    assertThat(
            redacted(Map.of("redact.names", names.toString()), "to Ada Lovelace, ada@example.org"))
        .isEqualTo("to [NAME], [EMAIL]");
    assertThat(redacted(Map.of("redact.kinds", "none"), "ada@example.org"))
        .isEqualTo("ada@example.org");
  }

  private static void assertRefused(Map<String, String> settings, String message) {
    assertThatThrownBy(() -> redacted(settings, ""))
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith(message);
  }

  private static String redacted(Map<String, String> settings, String text) {
    return Redactors.of(MirrorConfigs.of(settings).redact())
        .redact(text, Redactor.NO_DEADLINE)
        .text();
  }
}
