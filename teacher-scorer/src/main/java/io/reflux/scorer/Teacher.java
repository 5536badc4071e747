package io.reflux.scorer;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.chat.ChatMessage;
import io.reflux.model.chat.SpecialTokens;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.avro.Message;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/**
 * The teacher model: makes sequences of requests and rollouts, answers prompts, and labels
 * sequences. Knows nothing of Kafka.
 */
final class Teacher implements AutoCloseable {
  private final LanguageModel model;
  private final ModelConfig config;
  private final Set<Integer> stopIds;
  private final OptionalInt stopId;
  private final int maxSequence;
  private final int maxResponse;
  private final double temperature;
  private final TeacherBackend backend;

  private Teacher(
      LanguageModel model, ScorerConfig settings, int maxSequence, TeacherBackend backend) {
    this.model = model;
    this.config = model.config();
    this.stopIds = model.stopIds();
    this.stopId = stopId(model);
    this.maxSequence = maxSequence;
    this.maxResponse = settings.maxResponseTokens();
    this.temperature = settings.temperature();
    this.backend = backend;
  }

  /**
   * Loads the model and opens both its graphs.
   *
   * @throws RefluxException if a setting does not fit the model
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
    LanguageModel model = LanguageModel.load(directory);
    int maxSequence = Math.min(settings.maxSequenceTokens(), model.config().maxPositions());
    require(maxSequence >= 2, "max-sequence-tokens", settings.maxSequenceTokens(), "at least 2");
    require(
        settings.maxResponseTokens() >= 1,
        "max-response-tokens",
        settings.maxResponseTokens(),
        "at least 1");
    int vocabulary = model.config().vocabularySize();
    require(
        settings.topK() >= 1 && settings.topK() <= vocabulary,
        "top-k",
        settings.topK(),
        "1 to " + vocabulary + ", the teacher's vocabulary");
    return new Teacher(
        model, settings, maxSequence, LocalBackend.open(model, settings, maxSequence));
  }

  private static void require(boolean holds, String key, int value, String expected) {
    if (!holds) {
      throw new RefluxException(
          "reflux.score." + key + ": " + value + " (expected: " + expected + ")");
    }
  }

  /** The token that ends a turn: the tokenizer's own where it has one. */
  private static OptionalInt stopId(LanguageModel model) {
    String token = SpecialTokens.load(model.directory()).get("eos_token");
    OptionalInt id = token == null ? OptionalInt.empty() : model.tokenizer().id(token);
    return id.isPresent() ? id : model.stopIds().stream().mapToInt(Integer::intValue).min();
  }

  String fingerprint() {
    return backend.fingerprint();
  }

  String tokenizerFingerprint() {
    return model.tokenizerFingerprint();
  }

  String chatTemplateFingerprint() {
    return model.chatTemplateFingerprint();
  }

  int vocabularySize() {
    return config.vocabularySize();
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
    int[] response = model.tokenizer().encode(request.getResponse(), false);
    boolean cutOff = request.getMaxTokens() != null && response.length >= request.getMaxTokens();
    if (stopId.isPresent() && !cutOff && !endsWithStop(response)) {
      response = Arrays.copyOf(response, response.length + 1);
      response[response.length - 1] = stopId.getAsInt();
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
      if (ids[i] < 0 || ids[i] >= config.vocabularySize()) {
        throw new RejectedException(
            "bad_token_id",
            "token_ids["
                + i
                + "]: "
                + ids[i]
                + " (expected: 0 to "
                + (config.vocabularySize() - 1)
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
    return backend.answer(question, sampling, stopIds);
  }

  /** Labels of one padded batch, encoded, in order. */
  List<byte[]> label(List<Sequence> batch) {
    return backend
        .label(
            batch.stream().map(sequence -> LabelTask.of(sequence, LabelEncoding.TOPK, 0)).toList())
        .join()
        .stream()
        .map(block -> SoftLabelCodec.encode(block, config.vocabularySize()))
        .toList();
  }

  @Override
  public void close() {
    backend.close();
  }

  private int[] promptIds(MirroredRequest request) throws RejectedException {
    boolean chat = !request.getMessages().isEmpty();
    if (!chat && (request.getPrompt() == null || request.getPrompt().isEmpty())) {
      throw new RejectedException("empty_prompt", "prompt: empty (expected: text, or messages)");
    }
    int[] ids;
    try {
      ids =
          chat
              ? model.promptIds(turns(request.getMessages()))
              : model.promptIds(request.getPrompt());
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
    return response.length > 0 && stopIds.contains(response[response.length - 1]);
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
