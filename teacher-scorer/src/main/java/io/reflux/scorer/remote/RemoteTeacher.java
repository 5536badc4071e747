package io.reflux.scorer.remote;

import io.reflux.model.ModelException;
import io.reflux.model.ModelText;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.service.RefluxException;
import io.reflux.scorer.remote.ServerApi.AnswerAsk;
import io.reflux.scorer.remote.ServerFault.Kind;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A teacher on a server. Safe for several threads.
 *
 * <p>Futures fail with {@link ModelException} when what was asked is at fault, or the server says
 * of it what cannot be right; with {@link ServerUnavailableException} when nothing can be asked
 * now. A call that the server took and failed at could be either's fault: if a short sequence is
 * then scored well and the call, asked again, fails again, it is the call's.
 *
 * <p>A server that was away may come back as another: before it is believed again, it is asked who
 * it is, and one that is not what it was at the start stays unavailable.
 */
public final class RemoteTeacher implements AutoCloseable {
  /** Of an entry of a log-prob in JSON; some 65 in fact, unless tokens are long. */
  private static final long LONGEST_ENTRY = 256;

  private static final long LONGEST_REST = 16 << 20;
  private static final int TRIAL_TOKENS = 16;
  private static final Pattern LIMIT = Pattern.compile("max(?:imum)? allowed\\D{0,10}(\\d+)");

  private final RemoteOptions options;
  private final ModelText text;
  private final TeacherHttp http;
  private final ServerApi api;
  private final ScoreAsk trialAsk;
  private final int topK;
  private final AtomicReference<CompletableFuture<Void>> introduction = new AtomicReference<>();
  private final AtomicReference<CompletableFuture<Void>> trial = new AtomicReference<>();
  private volatile long knownAt;
  private ServerIdentity identity;

  private RemoteTeacher(RemoteOptions options, ModelText text, int topK, int maxSequence) {
    this.options = options;
    this.text = text;
    this.topK = topK;
    this.api =
        switch (options.api()) {
          case VLLM -> new VllmApi(text.vocabularySize());
          case SGLANG -> new SglangApi(text.vocabularySize());
        };
    int[] ids = text.tokenizer().encode("One, two, three, and so on, as they stand.", false);
    int length = Math.min(Math.min(TRIAL_TOKENS, ids.length), maxSequence);
    this.trialAsk = ScoreAsk.topK(Arrays.copyOf(ids, length), 1, topK);
    this.http = new TeacherHttp(options, LONGEST_REST + LONGEST_ENTRY * maxSequence * (topK + 1L));
  }

  /**
   * Finds the server, and makes sure that it is up, has the model, cuts text as the local tokenizer
   * does, takes sequences of the length and tells as many log-probs as will be asked for.
   *
   * @param text the same model's, here
   * @param topK likeliest ids wanted a position
   * @param maxSequence longest sequence that will be asked about
   * @param sampling as of answers that will be asked for
   * @throws RefluxException in one line, what does not fit
   */
  public static RemoteTeacher open(
      RemoteOptions options, ModelText text, int topK, int maxSequence, SamplingOptions sampling) {
    RemoteTeacher teacher = new RemoteTeacher(options, text, topK, maxSequence);
    try {
      teacher.meet(maxSequence, sampling).join();
      return teacher;
    } catch (CompletionException e) {
      teacher.close();
      if (e.getCause() instanceof RefluxException refused) {
        throw refused;
      }
      ServerFault fault = TeacherHttp.faultOf(e);
      throw teacher.atStart(fault);
    }
  }

  private CompletableFuture<Void> meet(int maxSequence, SamplingOptions sampling) {
    return models()
        .thenCompose(
            served -> {
              ServedModel model = ServedModel.choose(served, options.model());
              requireApi(model);
              requireWhole(model);
              requireRoom(model, maxSequence);
              return api.identify(http, model);
            })
        .thenCompose(
            found -> {
              identity = found;
              knownAt = http.disturbances();
              return new TokenizerProbes(text).check(http, options.url(), found.model());
            })
        .thenCompose(same -> api.score(http, identity, trialAsk))
        .thenCompose(
            scored ->
                api.answer(
                        http,
                        identity,
                        new AnswerAsk(trialAsk.tokenIds(), 1, sampling, text.stopIds()))
                    .result())
        .thenAccept(answered -> {});
  }

  private CompletableFuture<List<ServedModel>> models() {
    return http.get("/v1/models", ServedModel::list).result();
  }

  private void requireApi(ServedModel model) {
    for (RemoteApi other : RemoteApi.values()) {
      if (other != options.api() && other.key().equals(model.owner())) {
        throw new RefluxException(
            "reflux.score.remote.api: "
                + options.api().key()
                + " (expected: "
                + other.key()
                + ", which "
                + options.url()
                + " says it is)");
      }
    }
  }

  /** SGLang's /generate does not go by a model's name, and would speak for the model beneath. */
  private void requireWhole(ServedModel model) {
    if (options.api() == RemoteApi.SGLANG && !model.parent().isEmpty()) {
      throw new RefluxException(
          "reflux.score.remote.model: "
              + model.id()
              + ", an adapter of "
              + model.parent()
              + " (expected: a whole model, on an SGLang server)");
    }
  }

  /** One token more than the sequence: both servers want to generate, or be able to. */
  private static void requireRoom(ServedModel model, int maxSequence) {
    if (model.longest() > 0 && maxSequence >= model.longest()) {
      throw new RefluxException(
          "reflux.score.max-sequence-tokens: "
              + maxSequence
              + " (expected: at most "
              + (model.longest() - 1)
              + ", one less than the server's max_model_len)");
    }
  }

  private RefluxException atStart(ServerFault fault) {
    if (fault.status() == 401 || fault.status() == 403) {
      return new RefluxException(
          "reflux.score.remote.api-key: "
              + (options.apiKey().isPresent() ? "not accepted" : "missing")
              + " (expected: the server's): "
              + fault.getMessage(),
          fault);
    }
    Matcher limit = LIMIT.matcher(fault.getMessage());
    if (fault.kind() == Kind.REFUSED && fault.getMessage().contains("logprobs")) {
      return new RefluxException(
          "reflux.score.top-k: "
              + topK
              + " (expected: at most "
              + (limit.find() ? limit.group(1) : "what the server allows")
              + "; vLLM takes more when it is started with --max-logprobs "
              + topK
              + "): "
              + fault.getMessage(),
          fault);
    }
    return new RefluxException(
        "reflux.score.remote.url: "
            + fault.getMessage()
            + " (expected: "
            + (options.api() == RemoteApi.VLLM ? "a vLLM" : "an SGLang")
            + " server)",
        fault);
  }

  /**
   * SHA-256 over what identifies this teacher as well as can be known: the server's kind and
   * version, its name of the model, where it had the weights from and, if it counts them, their
   * version; config.json, tokenizer.json and chat template here. It cannot see weights that were
   * exchanged under one name on a server that does not count them, quantisation, or settings of the
   * server that change its numbers.
   */
  public String fingerprint() {
    MessageDigest digest = TokenizerProbes.sha256();
    for (String part :
        List.of(
            "remote 1",
            options.api().key(),
            identity.version(),
            identity.model(),
            identity.root(),
            identity.weights(),
            text.configFingerprint(),
            text.tokenizerFingerprint(),
            text.chatTemplateFingerprint())) {
      byte[] bytes = part.getBytes(StandardCharsets.UTF_8);
      digest.update((bytes.length + ":").getBytes(StandardCharsets.US_ASCII));
      digest.update(bytes);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /** What it is and where, for people. */
  public String description() {
    return identity + " at " + options.url();
  }

  /** Whether it tells log-probs of ids of the asker's choice. */
  public boolean givesSupport() {
    return api.givesSupport();
  }

  /**
   * The likeliest ids of each position from one on, true log-probs, entropy unknown.
   *
   * @param tokenIds the whole sequence
   * @param firstPosition of the first token whose prediction is wanted, at least 1
   */
  public CompletableFuture<LabelBlock> score(int[] tokenIds, int firstPosition) {
    return score(ScoreAsk.topK(tokenIds, firstPosition, topK));
  }

  /**
   * Log-probs of given ids at each position from one on; only from a server that {@link
   * #givesSupport}.
   *
   * @param supportIds [rows, supportSize] row-major
   * @param supportSize ids a row, at least 1
   */
  public CompletableFuture<LabelBlock> scoreSupport(
      int[] tokenIds, int firstPosition, int[] supportIds, int supportSize) {
    if (!api.givesSupport()) {
      throw new IllegalStateException("the server tells no log-probs of chosen ids");
    }
    return score(new ScoreAsk(tokenIds, firstPosition, topK, supportIds, supportSize));
  }

  private CompletableFuture<LabelBlock> score(ScoreAsk ask) {
    return new Asking<>(
            () -> new Call<>(api.score(http, identity, ask), () -> {}),
            "a sequence of " + ask.tokenIds().length + " tokens")
        .start();
  }

  /**
   * Continues a prompt.
   *
   * @param stopIds a token of these ends the answer, and is its last
   */
  public Call<int[]> answer(
      int[] promptIds, int maxTokens, SamplingOptions sampling, Set<Integer> stopIds) {
    AnswerAsk ask = new AnswerAsk(promptIds, maxTokens, sampling, stopIds);
    Asking<int[]> asking =
        new Asking<>(
            () -> api.answer(http, identity, ask), "an answer to " + promptIds.length + " tokens");
    return new Call<>(asking.start(), asking::cancel);
  }

  @Override
  public void close() {
    http.close();
  }

  /** Something asked, until it is answered or somebody is at fault. */
  private final class Asking<T> {
    private final Supplier<Call<T>> call;
    private final String what;
    private volatile boolean cancelled;
    private volatile Runnable cancel = () -> {};

    Asking(Supplier<Call<T>> call, String what) {
      this.call = call;
      this.what = what;
    }

    CompletableFuture<T> start() {
      return acquainted()
          .thenCompose(known -> attempt(false))
          // It may have been another server that answered after some failed.
          .thenCompose(value -> acquainted().thenApply(known -> value));
    }

    void cancel() {
      cancelled = true;
      cancel.run();
    }

    private CompletableFuture<T> attempt(boolean again) {
      return send().exceptionallyCompose(failure -> judge(TeacherHttp.faultOf(failure), again));
    }

    private CompletableFuture<T> send() {
      try {
        Call<T> sent = call.get();
        cancel = sent.cancel();
        if (cancelled) {
          sent.cancel().run();
        }
        return sent.result();
      } catch (ServerFault | IllegalStateException e) {
        return CompletableFuture.failedFuture(e);
      }
    }

    private CompletableFuture<T> judge(ServerFault fault, boolean again) {
      if (cancelled) {
        return CompletableFuture.failedFuture(new ModelException(what + ": cancelled", fault));
      }
      return switch (fault.kind()) {
        case AWAY -> CompletableFuture.failedFuture(unavailable(fault));
        case REFUSED, WRONG -> CompletableFuture.failedFuture(atFault(fault));
        case MALFORMED -> again ? CompletableFuture.failedFuture(atFault(fault)) : attempt(true);
        case FAILED ->
            tried()
                .handle((done, failure) -> failure == null)
                .thenCompose(
                    works -> {
                      if (!works) {
                        return CompletableFuture.failedFuture(unavailable(fault));
                      }
                      return again ? CompletableFuture.failedFuture(atFault(fault)) : attempt(true);
                    });
      };
    }

    private ModelException atFault(ServerFault fault) {
      return new ModelException(what + ": " + fault.getMessage(), fault);
    }
  }

  private static ServerUnavailableException unavailable(ServerFault fault) {
    return new ServerUnavailableException(fault.getMessage(), fault);
  }

  /** Scores a short sequence, to see whether the server works. */
  private CompletableFuture<Void> tried() {
    return shared(trial, () -> api.score(http, identity, trialAsk).thenAccept(scored -> {}));
  }

  /** Asks the server who it is, if it was disturbed since it was last asked. */
  private CompletableFuture<Void> acquainted() {
    long disturbances = http.disturbances();
    if (disturbances == knownAt) {
      return CompletableFuture.completedFuture(null);
    }
    return shared(introduction, () -> introduce(disturbances));
  }

  private CompletableFuture<Void> introduce(long disturbances) {
    return models()
        .thenCompose(
            served -> api.identify(http, ServedModel.choose(served, Optional.of(identity.model()))))
        .handle(
            (found, failure) -> {
              if (failure instanceof CompletionException
                  && failure.getCause() instanceof RefluxException gone) {
                throw new ServerUnavailableException(gone.getMessage(), gone);
              }
              if (failure != null) {
                throw unavailable(TeacherHttp.faultOf(failure));
              }
              if (!found.equals(identity)) {
                throw new ServerUnavailableException(
                    options.url()
                        + ": came back as "
                        + found
                        + " (expected: "
                        + identity
                        + ", as at the start; start the scorer anew to take the other teacher)",
                    null);
              }
              knownAt = disturbances;
              return null;
            });
  }

  /** One call for all who want it at the same time. */
  private static CompletableFuture<Void> shared(
      AtomicReference<CompletableFuture<Void>> underWay, Supplier<CompletableFuture<Void>> call) {
    CompletableFuture<Void> own = new CompletableFuture<>();
    CompletableFuture<Void> other = underWay.compareAndExchange(null, own);
    if (other != null) {
      return other;
    }
    CompletableFuture<Void> called;
    try {
      called = call.get();
    } catch (IllegalStateException e) {
      called = CompletableFuture.failedFuture(e);
    }
    called.whenComplete(
        (done, failure) -> {
          underWay.set(null);
          if (failure == null) {
            own.complete(null);
          } else {
            own.completeExceptionally(failure);
          }
        });
    return own;
  }
}
