package io.reflux.scorer;

import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;

/** Settings of the teacher scorer. */
@ConfigMapping(prefix = "reflux.score")
public interface ScorerConfig {
  /**
   * Hugging Face directory of the teacher; needed. For a teacher on a server, config.json and the
   * tokenizer's files are enough.
   */
  Optional<Path> teacher();

  /** Likeliest ids kept a position; the rest is one tail mass. */
  @WithDefault("16")
  int topK();

  /** Most tokens in one batch of the model, padding included. */
  @WithDefault("4096")
  int batchTokens();

  /** How long a sequence waits for others to share its batch. */
  @WithDefault("20ms")
  Duration batchDelay();

  /** Longest sequence, prompt and response; a longer one is cut and marked as truncated. */
  @WithDefault("1024")
  int maxSequenceTokens();

  /** Longest answer of the teacher; a request may ask for a shorter one. */
  @WithDefault("128")
  int maxResponseTokens();

  /** Temperature of the teacher's answers; 0 takes the likeliest token. */
  @WithDefault("0")
  double temperature();

  /** Answers that are written at the same time. */
  @WithDefault("8")
  int slots();

  /** Requests, and rollouts, that are taken in before no more are fetched. */
  @WithDefault("2048")
  int maxInFlight();

  /**
   * Tokens of requests, and of rollouts, that are taken in before no more are fetched. The more
   * there are, the better batches of like length there are to choose from.
   */
  @WithDefault("262144")
  int maxInFlightTokens();

  /** Least time between transactions while there is more to do. */
  @WithDefault("100ms")
  Duration commitInterval();

  /**
   * Memory for what was answered and labelled before, half of it for each; 0 keeps none. Sampled
   * labels are never kept: the same draws twice would stand for more evidence than there is.
   */
  @WithDefault("67108864")
  long cacheBytes();

  /** Intra-op threads of the model's runtime. */
  @WithDefault("1")
  int threads();

  /** Devices that each hold the whole teacher, by comma: cpu, cuda[:N], tensorrt[:N]. */
  @WithDefault("cpu")
  String device();

  /** Element type the teacher is computed in: auto, f32, f16 or bf16. */
  @WithDefault("auto")
  String precision();

  /** What is said of requests and answers: topk, or sampled. */
  @WithDefault("topk")
  String encoding();

  /**
   * What is said of rollouts: topk, sampled, or support, the log-probs of the ids that the rollout
   * carries; one that carries none is labelled as requests are.
   */
  @WithDefault("support")
  String rolloutEncoding();

  /**
   * Temperature T of what is labelled: softmax(logits / T), 0.01 to 100. 1 is the teacher's own
   * distribution, and the only one that a teacher on a server tells.
   */
  @WithDefault("1")
  double labelTemperature();

  /** Ids drawn a position, with replacement, when labels are sampled. */
  @WithDefault("50")
  int draws();

  /** Scorers of one group share the work. */
  @WithDefault("scorer")
  String group();

  /**
   * Name of this instance, the same after a restart and different from every other's: work left
   * half done by a kill is then taken up at once, otherwise after the transaction timeout.
   */
  Optional<String> instance();

  /** How long a transaction may stay open before the broker gives it up. */
  @WithDefault("15s")
  Duration transactionTimeout();

  /** How long closing goes on with what was taken in; the rest is left for the next start. */
  @WithDefault("10s")
  Duration drainTimeout();

  /** A teacher that runs on a server instead of in this process. */
  Remote remote();

  /** Where metrics and health are served. */
  Http http();

  /** A server that speaks OpenAI's completions and tells the log-probs of a prompt. */
  interface Remote {
    /** Its base, such as http://host:8000; unset for a teacher in this process. */
    Optional<String> url();

    /** The server's name of the model; unset takes the only one that it has. */
    Optional<String> model();

    /** vllm or sglang. */
    @WithDefault("vllm")
    String api();

    /** Calls at the same time. */
    @WithDefault("16")
    int concurrency();

    /** Longest one attempt of a call may take, a whole answer included. */
    @WithDefault("60s")
    Duration timeout();

    /** Calls made for one thing asked before the teacher counts as away. */
    @WithDefault("5")
    int attempts();

    /** Sent as a bearer token. */
    Optional<String> apiKey();
  }

  /** An address. */
  interface Http {
    @WithDefault("127.0.0.1")
    String host();

    /** 0 takes any that is free, a negative one serves nothing. */
    @WithDefault("7073")
    int port();
  }
}
