package io.reflux.scorer;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.ModelText;
import io.reflux.model.chat.ChatMessage;
import io.reflux.model.runtime.Device;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.avro.Message;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The teacher model: makes sequences of requests and rollouts, answers prompts, and labels
 * sequences. Knows nothing of Kafka.
 */
final class Teacher implements AutoCloseable {
  private final ModelText text;
  private final TeacherBackend backend;
  private final Tasks tasks;
  private final ExecutorService codec;
  private final OptionalInt turnEndId;
  private final int maxSequence;
  private final int maxResponse;
  private final double temperature;

  /**
   * Labels of one sequence as they go out.
   *
   * @param problem why there are none; null when there are
   */
  @SuppressWarnings("ArrayRecordComponent") // compared by nobody
  record Labelled(byte[] bytes, String problem) {}

  /**
   * @param codec makes labels and encodes them; shut down with this
   */
  Teacher(
      ModelText text,
      TeacherBackend backend,
      Tasks tasks,
      ExecutorService codec,
      ScorerConfig settings) {
    this.text = text;
    this.backend = backend;
    this.tasks = tasks;
    this.codec = codec;
    this.turnEndId = text.turnEndId();
    this.maxSequence = maxSequence(text, settings);
    this.maxResponse = settings.maxResponseTokens();
    this.temperature = settings.temperature();
  }

  /**
   * Loads the model and opens both its graphs on each device, or finds the server that has it.
   *
   * @throws RefluxException if a setting does not fit the model, or the server does not
   * @throws ModelException if the model cannot be read
   */
  static Teacher open(ScorerConfig settings) {
    Path directory =
        settings
            .teacher()
            .filter(path -> !path.toString().isEmpty())
            .orElseThrow(
                () ->
                    new RefluxException(
                        "reflux.score.teacher: missing (expected: a Hugging Face directory)"));
    if (settings.remote().url().isPresent()) {
      return openRemote(ModelText.load(directory), settings);
    }
    RemoteBackend.requireNone(settings.remote());
    LanguageModel model = LanguageModel.load(directory);
    Tasks tasks = check(model.text(), settings);
    ExecutorService codec = codec(Device.parseList(settings.device()).size());
    try {
      TeacherBackend backend =
          LocalBackend.open(
              model, settings, tasks.draws(), maxSequence(model.text(), settings), codec);
      return new Teacher(model.text(), backend, tasks, codec, settings);
    } catch (RuntimeException e) {
      codec.shutdown();
      throw e;
    }
  }

  private static Teacher openRemote(ModelText text, ScorerConfig settings) {
    Tasks tasks = check(text, settings);
    TeacherBackend backend = RemoteBackend.open(text, settings, maxSequence(text, settings));
    return new Teacher(text, backend, tasks, codec(1), settings);
  }

  private static int maxSequence(ModelText text, ScorerConfig settings) {
    return Math.min(settings.maxSequenceTokens(), text.maxPositions().orElse(Integer.MAX_VALUE));
  }

  private static Tasks check(ModelText text, ScorerConfig settings) {
    require(
        maxSequence(text, settings) >= 2,
        "max-sequence-tokens",
        settings.maxSequenceTokens(),
        "at least 2");
    require(
        settings.maxResponseTokens() >= 1,
        "max-response-tokens",
        settings.maxResponseTokens(),
        "at least 1");
    int vocabulary = text.vocabularySize();
    require(
        settings.topK() >= 1 && settings.topK() <= vocabulary,
        "top-k",
        settings.topK(),
        "1 to " + vocabulary + ", the teacher's vocabulary");
    return new Tasks(settings, vocabulary);
  }

  /** Threads that encode labels, so that neither the loop nor a lane does. */
  private static ExecutorService codec(int threads) {
    return Executors.newFixedThreadPool(
        threads,
        task -> {
          Thread made = new Thread(task, "reflux-scorer-codec");
          made.setDaemon(true);
          return made;
        });
  }

  private static void require(boolean holds, String key, int value, String expected) {
    if (!holds) {
      throw new RefluxException(
          "reflux.score." + key + ": " + value + " (expected: " + expected + ")");
    }
  }

  String fingerprint() {
    return backend.fingerprint();
  }

  String tokenizerFingerprint() {
    return text.tokenizerFingerprint();
  }

  String chatTemplateFingerprint() {
    return text.chatTemplateFingerprint();
  }

  int vocabularySize() {
    return text.vocabularySize();
  }

  /** Whether equal prompts get equal answers. */
  boolean isGreedy() {
    return temperature == 0;
  }

  long tokensGenerated() {
    return backend.tokensGenerated();
  }

  /**
   * The prompt of a request without a response; cut at its start to leave room for an answer.
   *
   * @throws RejectedException if there is no prompt, or the teacher cannot take it
   */
  Question question(MirroredRequest request) throws RejectedException {
    int[] prompt = promptIds(request);
    int asked = request.getMaxTokens() == null ? maxResponse : request.getMaxTokens();
    if (asked < 1) {
      throw new RejectedException(
          "bad_max_tokens", "max_tokens: " + asked + " (expected: 1 or more)");
    }
    int wanted = Math.min(asked, maxResponse);
    int room = Math.min(wanted, maxSequence / 2);
    int[] kept = lastOf(prompt, maxSequence - room);
    return new Question(
        kept, Math.min(wanted, maxSequence - kept.length), kept.length < prompt.length);
  }

  /**
   * The sequence of a request that brings its response, with the stop token unless the response was
   * cut off.
   *
   * @throws RejectedException if there is nothing to label, or the teacher cannot take it
   */
  Sequence sequence(MirroredRequest request) throws RejectedException {
    int[] prompt = promptIds(request);
    int[] response = text.tokenizer().encode(request.getResponse(), false);
    boolean cutOff = request.getMaxTokens() != null && response.length >= request.getMaxTokens();
    if (turnEndId.isPresent() && !cutOff && !endsWithStop(response)) {
      response = Arrays.copyOf(response, response.length + 1);
      response[response.length - 1] = turnEndId.getAsInt();
    }
    if (response.length == 0) {
      throw new RejectedException("empty_response", "response: empty (expected: text)");
    }
    int room = Math.min(response.length, maxSequence / 2);
    int[] kept = lastOf(prompt, maxSequence - room);
    boolean truncated = kept.length < prompt.length || kept.length + response.length > maxSequence;
    return join(kept, response, Origin.REQUEST, truncated);
  }

  /** The sequence of a prompt and the teacher's own answer to it. */
  Sequence sequence(Question question, int[] answer) throws RejectedException {
    if (answer.length == 0) {
      throw new RejectedException("empty_response", "the teacher's answer has no tokens");
    }
    return join(question.promptIds(), answer, Origin.TEACHER, question.truncated());
  }

  /**
   * The sequence of a rollout.
   *
   * @throws RejectedException if it is of another tokenizer or chat template, or is no sequence
   */
  Sequence sequence(Rollout rollout) throws RejectedException {
    requireSame(
        "tokenizer_mismatch",
        "tokenizer",
        rollout.getTokenizerFingerprint(),
        tokenizerFingerprint());
    requireSame(
        "chat_template_mismatch",
        "chat template",
        rollout.getChatTemplateFingerprint(),
        chatTemplateFingerprint());
    int[] ids = rollout.getTokenIds().stream().mapToInt(Integer::intValue).toArray();
    int prompt = rollout.getPromptLength();
    if (prompt < 1 || prompt >= ids.length) {
      throw new RejectedException(
          "bad_prompt_length",
          "prompt_length: "
              + prompt
              + " (expected: 1 to "
              + (ids.length - 1)
              + ", with a response after it)");
    }
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] < 0 || ids[i] >= text.vocabularySize()) {
        throw new RejectedException(
            "bad_token_id",
            "token_ids["
                + i
                + "]: "
                + ids[i]
                + " (expected: 0 to "
                + (text.vocabularySize() - 1)
                + ")");
      }
    }
    if (prompt >= maxSequence) {
      throw new RejectedException(
          "too_long",
          "prompt_length: "
              + prompt
              + " (expected: below "
              + maxSequence
              + ", the longest sequence)");
    }
    // Only the end may go: the student's figures are by position.
    boolean truncated = ids.length > maxSequence;
    return new Sequence(
        truncated ? Arrays.copyOf(ids, maxSequence) : ids, prompt, Origin.ROLLOUT, truncated);
  }

  /**
   * Starts an answer.
   *
   * @param seed the same for the same request, so that a retry gives the same answer
   */
  PendingAnswer answer(Question question, long seed) {
    SamplingOptions sampling =
        isGreedy() ? SamplingOptions.GREEDY : new SamplingOptions(temperature, 1, 0, seed);
    return backend.answer(question, sampling, text.stopIds());
  }

  /** How the sequence of a request is labelled. */
  LabelTask task(MirroredRequest request, Sequence sequence) {
    return tasks.task(request, sequence);
  }

  /**
   * How the sequence of a rollout is labelled.
   *
   * @throws RejectedException if its support ids are not what they should be
   */
  LabelTask task(Rollout rollout, Sequence sequence) throws RejectedException {
    return tasks.task(rollout, sequence);
  }

  /** Batches that may be under way at once. */
  int lanes() {
    return backend.lanes();
  }

  /** Answers that may be under way at once. */
  int openAnswers() {
    return backend.openAnswers();
  }

  /** Labels of one padded batch, encoded, in order; fails as {@link TeacherBackend#label} does. */
  CompletableFuture<List<Labelled>> label(List<LabelTask> batch) {
    return backend.label(batch).thenApplyAsync(blocks -> encode(batch, blocks), codec);
  }

  private List<Labelled> encode(List<LabelTask> batch, List<LabelBlock> blocks) {
    if (blocks.size() != batch.size()) {
      throw new ModelException(
          "labels: of " + blocks.size() + " sequences (expected: " + batch.size() + ")");
    }
    List<Labelled> labelled = new ArrayList<>(blocks.size());
    for (int i = 0; i < blocks.size(); i++) {
      labelled.add(encode(batch.get(i).sequence(), blocks.get(i)));
    }
    return labelled;
  }

  private Labelled encode(Sequence sequence, LabelBlock block) {
    if (block.rows() != sequence.rows()) {
      return new Labelled(
          null, "labels: " + block.rows() + " rows (expected: " + sequence.rows() + ")");
    }
    try {
      return new Labelled(SoftLabelCodec.encode(block, text.vocabularySize()), null);
    } catch (IllegalArgumentException e) {
      // No distribution: the codec names the row and the value.
      return new Labelled(null, Failures.oneLine(e));
    }
  }

  Map<String, Long> busyNanos() {
    return backend.busyNanos();
  }

  Map<String, Long> tokensScored() {
    return backend.tokensScored();
  }

  @Override
  public void close() {
    backend.close();
    codec.shutdown();
  }

  private int[] promptIds(MirroredRequest request) throws RejectedException {
    boolean chat = !request.getMessages().isEmpty();
    if (!chat && (request.getPrompt() == null || request.getPrompt().isEmpty())) {
      throw new RejectedException("empty_prompt", "prompt: empty (expected: text, or messages)");
    }
    int[] ids;
    try {
      ids =
          chat ? text.promptIds(turns(request.getMessages())) : text.promptIds(request.getPrompt());
    } catch (ModelException e) {
      throw new RejectedException("bad_prompt", e.getMessage());
    }
    if (ids.length == 0) {
      throw new RejectedException("empty_prompt", "prompt: no tokens (expected: text)");
    }
    return ids;
  }

  private static List<ChatMessage> turns(List<Message> messages) {
    return messages.stream()
        .map(message -> new ChatMessage(message.getRole(), message.getContent()))
        .toList();
  }

  private Sequence join(int[] prompt, int[] response, Origin origin, boolean truncated) {
    int length = Math.min(maxSequence, prompt.length + response.length);
    int[] ids = Arrays.copyOf(prompt, length);
    System.arraycopy(response, 0, ids, prompt.length, length - prompt.length);
    return new Sequence(ids, prompt.length, origin, truncated);
  }

  private boolean endsWithStop(int[] response) {
    return response.length > 0 && text.stopIds().contains(response[response.length - 1]);
  }

  private static int[] lastOf(int[] ids, int most) {
    return ids.length <= most ? ids : Arrays.copyOfRange(ids, ids.length - most, ids.length);
  }

  private static void requireSame(String reason, String what, String theirs, String ours)
      throws RejectedException {
    if (!ours.equals(theirs)) {
      throw new RejectedException(
          reason,
          what
              + ": "
              + (theirs.isEmpty() ? "none" : theirs)
              + " (expected: "
              + (ours.isEmpty() ? "none" : ours)
              + ", the teacher's)");
    }
  }
}
