package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.Checkpoints;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Calibration;
import io.reflux.model.compress.QuantisationMethod;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.gguf.GgufCheckpoint;
import io.reflux.model.golden.GoldenCheck;
import io.reflux.model.golden.GoldenPrompts;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotLineage;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog;
import io.reflux.snapshots.SnapshotFetcher;
import io.reflux.snapshots.SnapshotFormat;
import io.reflux.snapshots.SnapshotPointers;
import io.reflux.trainer.SnapshotMaker.Candidate;
import io.reflux.trainer.gate.SnapshotQuality;
import io.reflux.trainer.pretrain.Shape;
import io.reflux.trainer.watch.Happening;
import io.reflux.trainer.watch.RunWatch;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** From candidates to what a channel serves, on a real broker. */
@Timeout(120)
class SnapshotGateServiceTest {
  private static final int K = 8;

  @TempDir private static Path shared;
  private static DevStack stack;
  private static LanguageModel teacher;
  private static ModelConfig student;
  private static Weights ours;
  private static Weights theirs;

  @TempDir private Path directory;
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private final List<String> news = new ArrayList<>();
  private KafkaClients clients;
  private RunWatch watch;

  @BeforeAll
  static void startStack() {
    stack = DevStack.start(shared.resolve("stack"));
    Path teacherDir = shared.resolve("teacher");
    BpeVocabulary vocabulary =
        BpeTrainer.train(List.of("red green blue").iterator(), 300, List.of("<|end|>"));
    vocabulary.write(teacherDir, BpeVocabulary.Roles.endingWith("<|end|>"));
    student =
        Shape.parse("hidden=32,layers=1,heads=4,kv-heads=2,ffn=64,context=32")
            .config(vocabulary.size(), OptionalInt.empty(), List.of(0));
    ours = RandomModel.variedWeights(student, 1);
    theirs = RandomModel.variedWeights(student, 2);
    LanguageModel.save(teacherDir, student, ours, DType.F32, teacherDir);
    teacher = LanguageModel.load(teacherDir);
  }

  @AfterAll
  static void stopStack() {
    stack.close();
  }

  @BeforeEach
  void createTopics(TestInfo test) {
    clients =
        new KafkaClients(
            stack.kafkaConfig(test.getTestMethod().orElseThrow().getName() + "."),
            stack.registryConfig());
    clients.createTopics();
    watch = RunWatch.open("student", directory, OptionalLong.empty(), Map.of());
  }

  @AfterEach
  void closeWatch() {
    watch.close();
  }

  @Test
  void whatIsWorseInOneSegmentStaysBackAndWhatIsBetterOrEqualGoesOut() {
    List<LabelledSequence> heldOut = new ArrayList<>();
    heldOut.addAll(labels("chat", 60, ours, 1));
    heldOut.addAll(labels("travel", 24, theirs, 2));
    List<LabelledSequence> chat = heldOut.subList(0, 60);
    try (SnapshotQueue queue = queue()) {
      queue.publishFirst(candidate(theirs, 1, heldOut));
      assertThat(served()).isEqualTo(1);

      queue.make(candidate(ours, 2, heldOut));
      queue.finish();
      assertThat(served()).isEqualTo(1);
      assertThat(queue.last().orElseThrow().line())
          .startsWith("Snapshot of step 2 held back: segment travel is worse by ")
          .contains(" over 2 segments, 24 sequences)");
      assertThat(meters.counter("snapshots_held_back", "reason", "segment").count()).isOne();

      queue.make(candidate(ours, 3, chat));
      queue.finish();
      assertThat(served()).isEqualTo(2);
      queue.make(candidate(ours, 4, chat));
      queue.finish();
      assertThat(served()).isEqualTo(3);
      assertThat(queue.last().orElseThrow().verdict().figures()).containsEntry("kl_change", 0.0);

      queue.make(candidate(theirs, 5, chat));
      queue.finish();
      queue.make(candidate(ours, 6, List.of()));
      queue.finish();
      assertThat(served()).isEqualTo(3);
      assertThat(meters.counter("snapshots_held_back", "reason", "too_few").count()).isOne();
    }
    assertThat(watch.view().gate())
        .extracting(Happening::kind)
        .containsExactly(
            Happening.Kind.PUBLISHED,
            Happening.Kind.HELD_BACK,
            Happening.Kind.PUBLISHED,
            Happening.Kind.PUBLISHED,
            Happening.Kind.HELD_BACK,
            Happening.Kind.HELD_BACK);
    assertThat(watch.view().gate()).extracting(Happening::text).isEqualTo(news);
    assertThat(news)
        .hasSize(6)
        .noneMatch(line -> line.contains("\n"))
        .anyMatch(line -> line.contains("of step 5 held") && line.endsWith("; and 1 more"));
    assertThat(news.get(2)).startsWith("Snapshot 2 published at step 3: agreement ");
  }

  @Test
  void theCompressedStudentIsMeasuredAndItsFiguresGoIntoTheManifest() {
    List<LabelledSequence> heldOut = labels("chat", 30, ours, 1);
    try (SnapshotQueue queue = queue()) {
      queue.publishFirst(candidate(theirs, 1, heldOut));
      queue.make(candidate(ours, 2, heldOut));
      queue.finish();
    }
    Map<String, Double> figures = new SnapshotCatalog(clients).find(2).orElseThrow().getQuality();
    double compressed =
        quality(Quantiser.of(WeightFormat.INT8).quantise(student, ours), heldOut).kl();
    assertThat(figures.get("kl")).isEqualTo(compressed, within(1e-9));
    assertThat(figures.get("segment.chat.kl")).isEqualTo(compressed, within(1e-9));
    // The labels are the float student's own: only what the codec leaves of them is off.
    assertThat(quality(ours, heldOut).kl()).isLessThan(compressed - 2e-5);
    double before =
        quality(Quantiser.of(WeightFormat.INT8).quantise(student, theirs), heldOut).kl();
    assertThat(figures.get("kl_change")).isEqualTo(compressed - before, within(1e-9));
    assertThat(figures.get("kl_change_low")).isLessThan(compressed - before);
    assertThat(figures).containsEntry("sequences", 30.0).containsEntry("positions", 300.0);
    assertThat(figures.values()).allMatch(Double::isFinite);
  }

  @Test
  void aManifestTellsWhatItsWeightsComeFrom() {
    try (SnapshotQueue queue = queue(Map.of("learning-rate", "0.25", "gate", "false"))) {
      queue.publishFirst(candidate(theirs, 1, List.of()));
      queue.make(candidate(ours, 2, List.of()));
      queue.finish();
    }
    SnapshotManifest manifest = new SnapshotCatalog(clients).find(2).orElseThrow();
    SnapshotLineage lineage = manifest.getLineage();
    assertThat(lineage.getTeacherName()).isEqualTo(teacher.directory().getFileName().toString());
    assertThat(lineage.getTrainedFrom()).as("of the parent").isEqualTo(Instant.ofEpochSecond(1));
    assertThat(lineage.getTrainedTo()).isEqualTo(Instant.ofEpochSecond(2));
    assertThat(lineage.getConfiguration())
        .containsEntry("reflux.train.learning-rate", "0.25")
        .containsEntry("reflux.train.objective", "forward-kl")
        .containsEntry("reflux.train.lora.rank", "0")
        .containsEntry("reflux.train.snapshot-format", "int8")
        .doesNotContainKeys(
            "reflux.train.data-dir", "reflux.train.http.port", "reflux.train.snapshot-interval");
    assertThat(manifest.getFormats()).containsExactly("safetensors");
  }

  @Test
  void whatShipsHasTheFormatThatIsAskedForAndIsMeasuredInIt() {
    List<LabelledSequence> heldOut = labels("chat", 30, ours, 1);
    for (WeightFormat format : WeightFormat.values()) {
      try (SnapshotQueue queue =
          queue(Map.of("snapshot-format", format.toString(), "channel", "c-" + format))) {
        queue.publishFirst(candidate(ours, 1, heldOut));
      }
      long version = new SnapshotCatalog(clients).pointer("c-" + format).orElseThrow().getVersion();
      SnapshotManifest manifest = new SnapshotCatalog(clients).find(version).orElseThrow();
      assertThat(manifest.getQuantisation()).isEqualTo(format.toString());
      Weights shipped = Quantiser.of(format).quantise(student, ours);
      assertThat(manifest.getStudentFingerprint())
          .isEqualTo(Checkpoints.fingerprint(student, shipped));
      assertThat(manifest.getQuality().get("kl"))
          .isEqualTo(quality(shipped, heldOut).kl(), within(1e-9));
    }
  }

  @Test
  void everyFormatIsOfTheSameWeightsAndMeasuredAgainstThem() {
    List<LabelledSequence> heldOut = labels("chat", 30, ours, 1);
    for (WeightFormat format : WeightFormat.values()) {
      String channel = "c-" + format;
      Map<String, String> settings =
          Map.of(
              "snapshot-format",
              format.toString(),
              "snapshot-formats",
              "gguf,onnx,hf",
              "channel",
              channel);
      try (SnapshotQueue queue = queue(settings)) {
        queue.publishFirst(candidate(ours, 1, format == WeightFormat.NONE ? List.of() : heldOut));
      }
      SnapshotPointer pointer = new SnapshotCatalog(clients).pointer(channel).orElseThrow();
      SnapshotFetcher fetcher = new SnapshotFetcher(clients, directory.resolve("fetched"));
      LanguageModel own = LanguageModel.load(fetcher.fetch(pointer).directory());
      Path onnx = fetcher.fetch(pointer, SnapshotFormat.ONNX).modelDirectory();
      assertThat(onnx.resolve("model.onnx")).isNotEmptyFile();
      assertThat(onnx.resolve("genai_config.json")).isNotEmptyFile();
      LanguageModel hf =
          LanguageModel.load(fetcher.fetch(pointer, SnapshotFormat.HF).modelDirectory());
      assertThat(hf.tokenizerFingerprint()).isEqualTo(own.tokenizerFingerprint());
      Path gguf = fetcher.fetch(pointer, SnapshotFormat.GGUF).modelDirectory();
      Checkpoint llama = GgufCheckpoint.load(gguf.resolve("model.gguf"));
      assertThat(llama.config()).isEqualTo(own.config());
      SnapshotManifest manifest =
          new SnapshotCatalog(clients).find(pointer.getVersion()).orElseThrow();
      assertThat(manifest.getFormats()).containsExactly("safetensors", "hf", "onnx", "gguf");
      for (String name : List.of("hf", "onnx", "gguf")) {
        assertThat(manifest.getQuality().get("kl." + name)).as(name).isLessThan(0.01);
        assertThat(manifest.getQuality().get("agreement." + name)).as(name).isGreaterThan(0.9);
      }
      assertThat(manifest.getQuality().get("kl.onnx")).isLessThan(1e-5);
    }
  }

  @Test
  void aFormatThatDiffersTooMuchIsLeftOutAndNamed() {
    try (SnapshotQueue queue =
        queue(
            Map.of(
                "snapshot-formats", "hf,onnx",
                "snapshot-format-divergence", "1e-6"))) {
      queue.publishFirst(candidate(ours, 1, labels("chat", 30, ours, 1)));
      assertThat(queue.last().orElseThrow().line())
          .startsWith("Snapshot 1 published at step 1: ")
          .containsPattern("; without hf: KL [0-9.e-]+ \\(expected: at most 1\\.0E-6\\)$");
    }
    SnapshotManifest manifest = new SnapshotCatalog(clients).find(1).orElseThrow();
    assertThat(manifest.getFormats()).containsExactly("safetensors", "onnx");
    assertThat(manifest.getFiles())
        .extracting(SnapshotFile::getPath)
        .noneMatch(path -> path.startsWith("hf/"));
    assertThat(manifest.getQuality()).containsKey("kl.onnx").doesNotContainKey("kl.hf");
  }

  @Test
  void whatShipsIsCalibratedOnTheTrafficAndWithoutAnyIsRounded() {
    List<int[]> traffic =
        labels("chat", 30, ours, 1).stream().map(LabelledSequence::tokenIds).toList();
    Candidate first = candidate(ours, 1, List.of());
    try (SnapshotQueue queue =
        queue(
            Map.of(
                "snapshot-format", "int4",
                "quantisation-method", "quantease",
                "calibration-half-life", "200",
                "gate", "false"))) {
      queue.publishFirst(first);
      queue.make(
          new Candidate(student, ours, 2, 1, 1, Map.of(), first.times(), first.heldOut(), traffic));
      queue.finish();
    }
    SnapshotCatalog catalog = new SnapshotCatalog(clients);
    Weights rounded = Quantiser.of(WeightFormat.INT4).quantise(student, ours);
    assertThat(catalog.find(1).orElseThrow().getStudentFingerprint())
        .isEqualTo(Checkpoints.fingerprint(student, rounded));
    Weights calibrated =
        Quantiser.of(WeightFormat.INT4, QuantisationMethod.QUANTEASE, 32)
            .quantise(
                student,
                ours,
                Optional.of(
                    Calibration.rolling(student, ours, traffic, 200, RuntimeOptions.DEFAULT)));
    SnapshotManifest manifest = catalog.find(2).orElseThrow();
    assertThat(manifest.getStudentFingerprint())
        .isEqualTo(Checkpoints.fingerprint(student, calibrated))
        .isNotEqualTo(catalog.find(1).orElseThrow().getStudentFingerprint());
    assertThat(manifest.getLineage().getConfiguration())
        .containsEntry("reflux.train.quantisation-method", "quantease")
        .containsEntry("reflux.train.calibration-half-life", "200");
  }

  @Test
  void aCandidateIsHeldAgainstWhatTheChannelServesNow() {
    List<LabelledSequence> heldOut = labels("chat", 30, ours, 1);
    try (SnapshotQueue queue = queue()) {
      queue.publishFirst(candidate(ours, 1, heldOut));
    }
    try (SnapshotQueue resumed = queue()) {
      resumed.publishFirst(candidate(theirs, 2, heldOut));
      assertThat(served()).isEqualTo(1);
      resumed.make(candidate(theirs, 3, heldOut));
      resumed.finish();
      assertThat(served()).isEqualTo(1);
    }
    try (SnapshotQueue open = queue(Map.of("gate", "false"))) {
      open.publishFirst(candidate(theirs, 4, heldOut));
      open.make(candidate(theirs, 5, heldOut));
      open.finish();
      assertThat(served()).isEqualTo(2);
      assertThat(open.last().orElseThrow().line())
          .startsWith("Snapshot 2 published at step 5, the gate being off, although: segment chat");
    }
    try (SnapshotQueue queue = queue()) {
      queue.publishFirst(candidate(theirs, 6, heldOut));
      queue.make(candidate(theirs, 7, heldOut));
      queue.finish();
      assertThat(served()).isEqualTo(3);
      new SnapshotPointers(clients).rollback("stable", 1, "worse on refunds");
      queue.make(candidate(theirs, 8, heldOut));
      queue.finish();
      assertThat(served()).isEqualTo(1);
    }
  }

  @Test
  void snapshotCarriesGoldenPromptsThatItsOwnArtefactAnswersAlikeOrNone() {
    List<LabelledSequence> heldOut = new ArrayList<>(labels("chat", 10, ours, 1));
    heldOut.addAll(labels("travel", 1, ours, 2));
    heldOut.addAll(labels("chat", 10, ours, 3));
    try (SnapshotQueue queue = queue(Map.of("golden-prompts", "3"))) {
      queue.publishFirst(candidate(ours, 1, heldOut));
    }
    SnapshotFetcher fetcher = new SnapshotFetcher(clients, directory.resolve("fetched"));
    LanguageModel artefact = LanguageModel.load(fetcher.fetch(1));
    GoldenPrompts golden = GoldenPrompts.load(artefact.directory()).orElseThrow();
    // The newest of each segment first.
    assertThat(golden.prompts())
        .extracting(GoldenPrompts.Answered::promptIds)
        .containsExactly(prompt(heldOut.get(20)), prompt(heldOut.get(10)), prompt(heldOut.get(19)));
    try (GenerationEngine engine =
        new GenerationEngine(
            artefact.config(),
            artefact.weights(),
            new EngineOptions(2, 32),
            RuntimeOptions.DEFAULT)) {
      GoldenCheck.Result result = GoldenCheck.run(golden, engine, Duration.ofSeconds(30));
      assertThat(result.agreed()).isEqualTo(result.positions()).isPositive();
    }
    try (SnapshotQueue none = queue(Map.of("golden-prompts", "0", "gate", "false"))) {
      none.publishFirst(candidate(ours, 2, heldOut));
      none.make(candidate(ours, 3, heldOut));
      none.finish();
    }
    assertThat(GoldenPrompts.load(fetcher.fetch(2))).isEmpty();
  }

  private static int[] prompt(LabelledSequence sequence) {
    return Arrays.copyOf(sequence.tokenIds(), sequence.promptLength());
  }

  @Test
  void eachSequenceIsMeasuredAtTheTemperatureOfItsLabelsAndOnlyOnce() {
    List<LabelledSequence> heldOut = new ArrayList<>(labels("chat", 10, ours, 1));
    for (LabelledSequence sequence : labels("chat", 10, ours, 3, 2.5)) {
      heldOut.add(0, sequence);
    }
    HeldOutScoring scoring = scoring(ours);
    var results = scoring.measure(heldOut);
    assertThat(SnapshotQuality.of(results).kl()).isLessThan(2e-3);
    assertThat(SnapshotQuality.of(results.subList(0, 10)).kl()).isLessThan(2e-3);
    scoring.close();
    // Without a model to ask, what is known is still told.
    assertThat(scoring.measure(heldOut.subList(5, 15))).isEqualTo(results.subList(5, 15));
  }

  private SnapshotQueue queue() {
    return queue(Map.of());
  }

  private SnapshotQueue queue(Map<String, String> changes) {
    Map<String, String> settings = new HashMap<>(changes);
    settings.put("data-dir", directory.resolve("trainer").toString());
    return new SnapshotQueue(
        new SnapshotMaker(Settings.of(settings), teacher, SnapshotAccess.unsigned(clients)),
        new TrainerMeters(meters),
        watch,
        news::add);
  }

  private long served() {
    return new SnapshotCatalog(clients).pointer("stable").orElseThrow().getVersion();
  }

  private static Candidate candidate(Weights weights, long step, List<LabelledSequence> heldOut) {
    TimeRange times = TimeRange.of(Instant.ofEpochSecond(step));
    return new Candidate(
        student, weights, step, 1, 1, Map.of(), Optional.of(times), heldOut, List.of());
  }

  private static SnapshotQuality quality(Weights weights, List<LabelledSequence> heldOut) {
    try (HeldOutScoring scoring = scoring(weights)) {
      return SnapshotQuality.of(scoring.measure(heldOut));
    }
  }

  private static HeldOutScoring scoring(Weights weights) {
    return new HeldOutScoring(new Scorer(student, weights, 16, RuntimeOptions.DEFAULT));
  }

  private static List<LabelledSequence> labels(
      String segment, int count, Weights labeller, long seed) {
    return labels(segment, count, labeller, seed, 1);
  }

  /** Ten rows a sequence. */
  private static List<LabelledSequence> labels(
      String segment, int count, Weights labeller, long seed, double temperature) {
    Random random = new Random(seed);
    int vocabulary = student.vocabularySize();
    List<LabelledSequence> sequences = new ArrayList<>();
    try (Scorer scorer = new Scorer(student, labeller, K, RuntimeOptions.DEFAULT)) {
      for (int i = 0; i < count; i++) {
        int[] ids = random.ints(14, 0, vocabulary).toArray();
        Scores scores =
            scorer.score(List.of(ScoreRequest.of(ids, 4).atTemperature(temperature))).get(0);
        TopKBlock block =
            new TopKBlock(
                scores.rows(),
                scores.k(),
                scores.topIds(),
                scores.topLogprobs(),
                scores.tailLogMass(),
                scores.tokenLogprobs(),
                scores.entropy());
        sequences.add(
            new LabelledSequence(
                segment + i,
                segment,
                0,
                1,
                ids,
                4,
                vocabulary,
                temperature,
                new byte[0],
                SoftLabelCodec.encode(block, vocabulary),
                new int[0],
                Optional.empty()));
      }
    }
    return sequences;
  }
}
