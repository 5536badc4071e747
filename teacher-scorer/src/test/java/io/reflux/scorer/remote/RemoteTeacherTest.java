package io.reflux.scorer.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.scorer.TinyTeacher;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A running teacher, asked over HTTP: what it says is what the model here says, or nothing. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class RemoteTeacherTest {
  private static final int K = 5;
  private static final int FIRST = 4;
  private static final int CONCURRENCY = 4;

  @TempDir static Path directory;
  private static LanguageModel model;
  private static Map<RemoteApi, TeacherServer> servers;
  private static int[] ids;

  private final List<RemoteTeacher> open = new ArrayList<>();

  @BeforeAll
  static void makeModel() {
    model = TinyTeacher.make(directory.resolve("teacher"), 1);
    ids = model.tokenizer().encode("where is my order of one kettle, which came on Monday?", false);
    servers =
        Map.of(
            RemoteApi.VLLM, TeacherServer.start(RemoteApi.VLLM, model),
            RemoteApi.SGLANG, TeacherServer.start(RemoteApi.SGLANG, model));
  }

  @AfterAll
  static void stopServers() {
    servers.values().forEach(TeacherServer::close);
  }

  @AfterEach
  void close() {
    open.forEach(RemoteTeacher::close);
    servers.values().forEach(TeacherServer::recover);
  }

  private static TeacherServer server(RemoteApi api) {
    return servers.get(api);
  }

  private static RemoteOptions options(TeacherServer server, RemoteApi api, int attempts) {
    return new RemoteOptions(
        server.url(),
        Optional.empty(),
        api,
        CONCURRENCY,
        Duration.ofMillis(700),
        attempts,
        Optional.empty());
  }

  private RemoteTeacher teacher(RemoteOptions options) {
    RemoteTeacher teacher =
        RemoteTeacher.open(
            options, model.text(), K, TinyTeacher.MAX_POSITIONS, SamplingOptions.GREEDY);
    open.add(teacher);
    return teacher;
  }

  private RemoteTeacher teacher(TeacherServer server, RemoteApi api) {
    return teacher(options(server, api, 2));
  }

  private static Scores localScores(int[] sequence, int first) {
    try (Scorer scorer =
        new Scorer(model.config(), model.weights(), K, RuntimeOptions.of(1, "cpu"))) {
      return scorer.score(List.of(ScoreRequest.of(sequence, first))).get(0);
    }
  }

  private static Throwable failure(CompletableFuture<?> future) {
    try {
      future.join();
    } catch (CompletionException e) {
      return e.getCause();
    }
    throw new AssertionError("did not fail");
  }

  private static void assertIsLocal(TopKBlock block, int[] sequence, int first) {
    Scores local = localScores(sequence, first);
    assertThat(block.rows()).isEqualTo(local.rows());
    assertThat(block.ids()).isEqualTo(local.topIds());
    assertClose(block.logprobs(), local.topLogprobs(), 1e-5);
    assertClose(block.tokenLogprobs(), local.tokenLogprobs(), 1e-5);
    assertClose(block.tailLogMass(), local.tailLogMass(), 1e-4);
    for (float entropy : block.entropy()) {
      assertThat(entropy).isNaN();
    }
  }

  private static void assertClose(float[] actual, float[] expected, double within) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < actual.length; i++) {
      assertThat((double) actual[i]).as("at %s", i).isCloseTo(expected[i], within(within));
    }
  }

  @ParameterizedTest
  @EnumSource
  void labelsAreThoseOfTheModelHere(RemoteApi api) {
    RemoteTeacher teacher = teacher(server(api), api);
    assertIsLocal((TopKBlock) teacher.score(ids, FIRST).join(), ids, FIRST);
    assertIsLocal((TopKBlock) teacher.score(ids, ids.length - 1).join(), ids, ids.length - 1);
    assertIsLocal((TopKBlock) teacher.score(ids, 1).join(), ids, 1);
    assertThat(teacher.description()).contains("teacher").contains("http://127.0.0.1:");
  }

  @Test
  void theLastIdIsKnownAlthoughSglangEchoesItAsAnother() {
    int[] sequence = ids.clone();
    sequence[sequence.length - 2] = model.config().vocabularySize() - 1;
    RemoteTeacher teacher = teacher(server(RemoteApi.SGLANG), RemoteApi.SGLANG);
    assertIsLocal((TopKBlock) teacher.score(sequence, FIRST).join(), sequence, FIRST);
  }

  @Test
  void labelsOfChosenIdsAreThoseOfTheModelHere() {
    RemoteTeacher teacher = teacher(server(RemoteApi.SGLANG), RemoteApi.SGLANG);
    int rows = ids.length - FIRST;
    int size = 3;
    int[] support =
        IntStream.range(0, rows * size)
            .map(i -> (i * 37 + i / size) % model.config().vocabularySize())
            .toArray();
    SupportBlock block = (SupportBlock) teacher.scoreSupport(ids, FIRST, support, size).join();

    Scores local;
    try (Scorer scorer =
        new Scorer(model.config(), model.weights(), K, RuntimeOptions.of(1, "cpu"))) {
      local = scorer.score(List.of(new ScoreRequest(ids, FIRST, support, size))).get(0);
    }
    assertThat(block.supportChecksum()).isEqualTo(SupportBlock.checksum(support));
    assertClose(block.logprobs(), local.supportLogprobs(), 1e-5);
    assertClose(block.tokenLogprobs(), local.tokenLogprobs(), 1e-5);
    for (int row = 0; row < rows; row++) {
      double named = 0;
      for (int i = row * size; i < (row + 1) * size; i++) {
        named += Math.exp(local.supportLogprobs()[i]);
      }
      assertThat((double) block.tailLogMass()[row]).isCloseTo(Math.log1p(-named), within(1e-5));
    }
  }

  @Test
  void idsOfManyRowsAreAskedForInPieces() {
    int[] support = IntStream.range(0, (ids.length - FIRST) * 2).map(i -> i % 100).toArray();
    SupportRows rows =
        new SupportRows(
            new ScoreAsk(ids, FIRST, K, support, 2), model.config().vocabularySize(), 12);
    List<Integer> ends = new ArrayList<>();
    while (!rows.complete()) {
      int[] asked = rows.nextIds();
      int piece = rows.nextEnd() - rows.position();
      assertThat(asked).isSorted().doesNotHaveDuplicates();
      assertThat(asked.length * piece).isLessThanOrEqualTo(12);
      double[] values = new double[asked.length];
      Arrays.fill(values, -3);
      for (int row = 0; row < piece; row++) {
        rows.add(asked, values, asked.length, -1);
      }
      ends.add(rows.position());
    }
    assertThat(ends).hasSizeGreaterThan(3).endsWith(ids.length);
  }

  @ParameterizedTest
  @EnumSource
  void answersAreThoseOfTheEngineHere(RemoteApi api) {
    RemoteTeacher teacher = teacher(server(api), api);
    int[] prompt = model.promptIds("is my order on its way");
    int[] free;
    try (GenerationEngine engine =
        new GenerationEngine(
            model.config(),
            model.weights(),
            new EngineOptions(1, TinyTeacher.MAX_POSITIONS),
            RuntimeOptions.of(1, "cpu"))) {
      free =
          engine
              .submit(new GenerationRequest(prompt, 12, SamplingOptions.GREEDY, Set.of(), 0), null)
              .result()
              .join()
              .tokenIds();
    }
    assertThat(teacher.answer(prompt, 12, SamplingOptions.GREEDY, Set.of()).result().join())
        .isEqualTo(free);

    int stop = free[free.length / 2];
    int end = IntStream.range(0, free.length).filter(i -> free[i] == stop).findFirst().orElse(0);
    assertThat(teacher.answer(prompt, 12, SamplingOptions.GREEDY, Set.of(stop)).result().join())
        .isEqualTo(Arrays.copyOf(free, end + 1));
    assertThat(
            teacher
                .answer(prompt, 12, new SamplingOptions(1.5, 1, 0, 7), Set.of(stop))
                .result()
                .join())
        .hasSizeBetween(1, 12);
  }

  @ParameterizedTest
  @EnumSource
  void cancellingAnAnswerClosesItsConnection(RemoteApi api) throws InterruptedException {
    TeacherServer server = server(api);
    RemoteTeacher teacher = teacher(server, api);
    int calls = server.scoringCalls().size();
    server.failAlways(asked -> true, Fault.HANG);
    Call<int[]> answer =
        teacher.answer(model.promptIds("where is it"), 12, SamplingOptions.GREEDY, Set.of());
    server.awaitScoringCalls(calls + 1);
    answer.cancel().run();
    assertThat(failure(answer.result())).isInstanceOf(ModelException.class);
    assertThat(server.awaitCancelled(model.promptIds("where is it"))).isTrue();
    assertThat(server.scoringCalls()).as("not tried again").hasSize(calls + 1);
  }

  static Stream<Arguments> passingFaults() {
    return Stream.of(RemoteApi.values())
        .flatMap(
            api ->
                Stream.of(
                        Fault.STATUS_500,
                        Fault.STATUS_503,
                        Fault.SLOW,
                        Fault.HANG,
                        Fault.RESET_MID_BODY,
                        Fault.TRUNCATED)
                    .map(fault -> Arguments.of(api, fault)));
  }

  @ParameterizedTest
  @MethodSource("passingFaults")
  void whatPassesIsTriedAgain(RemoteApi api, Fault fault) {
    TeacherServer server = server(api);
    RemoteTeacher teacher = teacher(server, api);
    int calls = server.scoringCalls().size();
    server.fail(fault);
    assertIsLocal((TopKBlock) teacher.score(ids, FIRST).join(), ids, FIRST);
    assertThat(server.scoringCalls()).hasSize(calls + 2);
  }

  @ParameterizedTest
  @EnumSource
  void aServerThatAsksForPatienceIsGivenIt(RemoteApi api) {
    TeacherServer server = server(api);
    RemoteTeacher teacher = teacher(server, api);
    server.fail(Fault.TOO_MANY);
    assertIsLocal((TopKBlock) teacher.score(ids, FIRST).join(), ids, FIRST);
    List<Long> calls = server.scoringCalls();
    long waited = calls.get(calls.size() - 1) - calls.get(calls.size() - 2);
    assertThat(Duration.ofNanos(waited)).isGreaterThan(Duration.ofMillis(950));
  }

  static Stream<Arguments> wrongAnswers() {
    return Stream.of(RemoteApi.values())
        .flatMap(
            api ->
                Stream.of(Fault.values())
                    .filter(fault -> fault.compareTo(Fault.WRONG_ECHO) >= 0)
                    .map(fault -> Arguments.of(api, fault)));
  }

  @ParameterizedTest
  @MethodSource("wrongAnswers")
  void whatCannotBeRightIsNoLabel(RemoteApi api, Fault fault) {
    TeacherServer server = server(api);
    RemoteTeacher teacher = teacher(server, api);
    server.fail(fault);
    assertThat(failure(teacher.score(ids, FIRST)))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("a sequence of " + ids.length + " tokens: " + server.url())
        .hasMessageNotContaining("\n");
    assertIsLocal((TopKBlock) teacher.score(ids, FIRST).join(), ids, FIRST);
  }

  @ParameterizedTest
  @EnumSource
  void aSequenceThatTheServerRefusesIsBad(RemoteApi api) {
    TeacherServer server = server(api);
    RemoteTeacher teacher = teacher(server, api);
    server.fail(Fault.STATUS_400);
    assertThat(failure(teacher.score(ids, FIRST)))
        .isInstanceOf(ModelException.class)
        .hasMessageEndingWith("HTTP 400: not like this");
  }

  static Stream<Arguments> lastingFaults() {
    return Stream.of(
        Arguments.of(RemoteApi.VLLM, Fault.STATUS_500),
        Arguments.of(RemoteApi.SGLANG, Fault.RESET_MID_BODY),
        Arguments.of(RemoteApi.VLLM, Fault.HANG));
  }

  /** Or it would hold up its partition for ever. */
  @ParameterizedTest
  @MethodSource("lastingFaults")
  void aSequenceThatAloneFailsTheServerIsBad(RemoteApi api, Fault fault) {
    TeacherServer server = server(api);
    RemoteTeacher teacher = teacher(options(server, api, 1));
    server.failAlways(asked -> Arrays.equals(asked, ids), fault);
    CompletableFuture<?> poison = teacher.score(ids, FIRST);
    int[] other = Arrays.copyOf(ids, ids.length - 1);
    assertIsLocal((TopKBlock) teacher.score(other, FIRST).join(), other, FIRST);
    assertThat(failure(poison)).isInstanceOf(ModelException.class);
  }

  @ParameterizedTest
  @MethodSource("lastingFaults")
  void aServerThatFailsAtEverythingIsUnavailable(RemoteApi api, Fault fault) {
    TeacherServer server = server(api);
    RemoteTeacher teacher = teacher(options(server, api, 1));
    server.failAlways(asked -> true, fault);
    assertThat(failure(teacher.score(ids, FIRST)))
        .isInstanceOf(ServerUnavailableException.class)
        .hasMessageStartingWith(server.url());
    server.recover();
    assertIsLocal((TopKBlock) teacher.score(ids, FIRST).join(), ids, FIRST);
  }

  @Test
  void aServerThatIsAwayIsUnavailable() {
    TeacherServer server = TeacherServer.start(RemoteApi.VLLM, model);
    RemoteTeacher teacher = teacher(options(server, RemoteApi.VLLM, 1));
    server.failAlways(asked -> true, Fault.STATUS_503);
    assertThat(failure(teacher.score(ids, FIRST)))
        .isInstanceOf(ServerUnavailableException.class)
        .hasMessageContaining("HTTP 503");
    server.close();
    assertThat(failure(teacher.score(ids, FIRST)))
        .isInstanceOf(ServerUnavailableException.class)
        .hasMessageContaining("cannot be reached");
  }

  @ParameterizedTest
  @EnumSource
  void aServerThatComesBackAsAnotherIsNotBelieved(RemoteApi api) {
    TeacherServer server = server(api);
    RemoteTeacher teacher = teacher(server, api);
    server.fail(Fault.STATUS_503);
    server.model("teacher", "org/another");
    assertThat(failure(teacher.score(ids, FIRST)))
        .isInstanceOf(ServerUnavailableException.class)
        .hasMessageContaining("came back as teacher from org/another")
        .hasMessageContaining("expected: teacher from org/teacher");
    server.model("teacher", "org/teacher");
    assertIsLocal((TopKBlock) teacher.score(ids, FIRST).join(), ids, FIRST);
  }

  @Test
  void weightsExchangedInMidRunAreNotTakenForTheOldOnes() {
    TeacherServer server = server(RemoteApi.SGLANG);
    RemoteTeacher teacher = teacher(server, RemoteApi.SGLANG);
    server.weights("2");
    assertThat(failure(teacher.score(ids, FIRST)))
        .isInstanceOf(ServerUnavailableException.class)
        .hasMessageContaining("weight_version: 2 (expected: default, as at the start");
  }

  @Test
  void noMoreCallsAtATimeThanAllowed() {
    TeacherServer server = server(RemoteApi.VLLM);
    RemoteTeacher teacher = teacher(server, RemoteApi.VLLM);
    List<CompletableFuture<?>> all = new ArrayList<>();
    for (int i = 0; i < 60; i++) {
      all.add(teacher.score(ids, FIRST));
    }
    all.forEach(CompletableFuture::join);
    assertThat(server.mostUnderWay()).isBetween(2, CONCURRENCY);
  }

  @Test
  void theFingerprintTellsTeachersApart() {
    TeacherServer server = server(RemoteApi.VLLM);
    String first = teacher(server, RemoteApi.VLLM).fingerprint();
    assertThat(first).hasSize(64).isEqualTo(teacher(server, RemoteApi.VLLM).fingerprint());
    server.model("teacher", "org/another");
    String second = teacher(server, RemoteApi.VLLM).fingerprint();
    server.model("teacher", "org/teacher");
    assertThat(second).hasSize(64).isNotEqualTo(first);
  }
}
