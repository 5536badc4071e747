package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.LanguageModel;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TeacherTest {
  @TempDir static Path directory;
  private static LanguageModel model;
  private static Teacher teacher;

  @BeforeAll
  static void open() {
    model = TinyTeacher.make(directory, 1);
    teacher =
        Teacher.open(
            Configs.of(
                Map.of(
                    "teacher", directory.toString(),
                    "max-sequence-tokens", "40",
                    "max-response-tokens", "10")));
  }

  @AfterAll
  static void close() {
    teacher.close();
  }

  private static MirroredRequest request(String prompt, String response, Integer maxTokens) {
    return MirroredRequest.newBuilder()
        .setRequestId("r")
        .setReceivedAt(Instant.EPOCH)
        .setSource("test")
        .setPrompt(prompt)
        .setResponse(response)
        .setMaxTokens(maxTokens)
        .build();
  }

  @Test
  void aResponseEndsWithTheStopTokenUnlessItWasCutOff() throws Exception {
    int stop = model.config().eosTokenIds().get(0);
    Sequence whole = teacher.sequence(request("where", "soon", null));
    assertThat(whole.tokenIds()[whole.length() - 1]).isEqualTo(stop);
    assertThat(whole.origin()).isEqualTo(Origin.REQUEST);
    assertThat(whole.truncated()).isFalse();
    assertThat(whole.promptLength()).isEqualTo(model.promptIds("where").length);

    int tokens = model.tokenizer().encode("soon", false).length;
    Sequence cut = teacher.sequence(request("where", "soon", tokens));
    assertThat(cut.rows()).isEqualTo(tokens);
  }

  @Test
  void whatIsTooLongIsCutAndMarked() throws Exception {
    String longText = "the kettle that i did not order ".repeat(20);

    Sequence longResponse = teacher.sequence(request("where", longText, null));
    assertThat(longResponse.length()).isEqualTo(40);
    assertThat(longResponse.truncated()).isTrue();
    assertThat(longResponse.promptLength()).isEqualTo(model.promptIds("where").length);

    Question longPrompt = teacher.question(request(longText, null, null));
    assertThat(longPrompt.truncated()).isTrue();
    assertThat(longPrompt.promptIds()).hasSize(30);
    assertThat(longPrompt.maxTokens()).isEqualTo(10);
    int[] whole = model.promptIds(longText);
    assertThat(longPrompt.promptIds()[29]).isEqualTo(whole[whole.length - 1]);

    Sequence both = teacher.sequence(request(longText, longText, null));
    assertThat(both.length()).isEqualTo(40);
    assertThat(both.rows()).isEqualTo(20);
  }

  @Test
  void aRequestMayAskForLessButNotForMore() throws Exception {
    assertThat(teacher.question(request("where", null, 3)).maxTokens()).isEqualTo(3);
    assertThat(teacher.question(request("where", null, 300)).maxTokens()).isEqualTo(10);
    assertThatThrownBy(() -> teacher.question(request("where", null, 0)))
        .isInstanceOf(RejectedException.class)
        .hasMessage("max_tokens: 0 (expected: 1 or more)");
  }

  @Test
  void settingsThatDoNotFitTheModelAreNamed() {
    assertThatThrownBy(() -> Teacher.open(Configs.of(Map.of())))
        .isInstanceOf(RefluxException.class)
        .hasMessage("reflux.score.teacher: missing (expected: a Hugging Face directory)");
    assertThatThrownBy(
            () -> Teacher.open(Configs.of(Map.of("teacher", directory.toString(), "top-k", "999"))))
        .hasMessageStartingWith("reflux.score.top-k: 999 (expected: 1 to ");
  }

  @Test
  void encodingsAndDrawsThatDoNotFitAreNamed() {
    assertRefused(
        "encoding", "support", "reflux.score.encoding: support (expected: topk or sampled)");
    assertRefused(
        "rollout-encoding",
        "all",
        "reflux.score.rollout-encoding: all (expected: support or topk or sampled)");
    assertRefused("draws", "0", "reflux.score.draws: 0 (expected: 1 to 4096)");
    assertRefused("precision", "f8", "precision: f8 (expected: auto, f32, f16 or bf16)");
    assertRefused("device", "cpu,cpu", "device: cpu,cpu (expected: each device once)");
  }

  private static void assertRefused(String key, String value, String message) {
    assertThatThrownBy(
            () -> Teacher.open(Configs.of(Map.of("teacher", directory.toString(), key, value))))
        .hasMessage(message);
  }
}
