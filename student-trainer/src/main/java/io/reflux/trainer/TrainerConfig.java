package io.reflux.trainer;

import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.compress.QuantisationMethod;
import io.reflux.snapshots.SnapshotFormat;
import io.reflux.trainer.nn.Precision;
import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/** How a student is trained. */
@ConfigMapping(prefix = "reflux.train")
public interface TrainerConfig {
  /** Model directory of the teacher: its tokenizer and template, and what labels are checked by. */
  Optional<Path> teacher();

  /** Model directory to start from, or the shape of a new student, by the teacher's tokenizer. */
  @WithDefault("hidden=96,layers=2,heads=4,kv-heads=2,ffn=256")
  String student();

  /** Name of the student's line of snapshots. */
  @WithDefault("student")
  String studentName();

  /** Where checkpoints and the newest snapshots are kept; the same directory resumes. */
  @WithDefault(".reflux/trainer")
  Path dataDir();

  /** Channel that snapshots are published to. */
  @WithDefault("stable")
  String channel();

  /** How gradients move weights: adamw, or schedule-free (its rate is constant once warm). */
  @WithDefault("adamw")
  String optimizer();

  /** Updates after which the average of a schedule-free optimizer has forgotten. */
  @WithDefault("1000")
  double longestAverage();

  /** Its peak, at the end of the warm-up. */
  @WithDefault("0.002")
  double learningRate();

  /** Steps in which the learning rate rises to its peak. */
  @WithDefault("100")
  int warmUpSteps();

  /** Steps after that in which it falls to what it stays at. */
  @WithDefault("2000")
  int settleSteps();

  /** Share of the peak that it stays at, until the stream drifts; 1 is the peak for good. */
  @WithDefault("0.5")
  double settledShare();

  /**
   * Excess of the loss of fresh sequences over their usual loss, summed in standard deviations,
   * that counts as a drift and has the learning rate rise to its peak again. At 10 that is a false
   * alarm in some 140,000 steps if losses are independent and normal; 0 never does.
   */
  @WithDefault("10")
  double driftThreshold();

  /** AdamW's decay of matrices, a unit of learning rate. */
  @WithDefault("0.01")
  double weightDecay();

  /** Longer gradients are scaled down to it. */
  @WithDefault("1.0")
  double maxGradientNorm();

  /**
   * A step whose loss and gradient norm are both so many robust standard deviations above the usual
   * is skipped, and its worst sequences are quarantined; 0 skips only what is not finite.
   */
  @WithDefault("8")
  double spikeThreshold();

  /**
   * Skipped steps of 32 after which the student goes back to its last good state, if it has become
   * worse since; 0 never does, and keeps no such state in memory.
   */
  @WithDefault("3")
  int rewindAfter();

  /** Tokens of the sequences of a step, prompts included. */
  @WithDefault("2048")
  int batchTokens();

  /** Tokens that go through the model together; a step's gradients are gathered in such parts. */
  @WithDefault("2048")
  int microBatchTokens();

  /**
   * What is minimised on data: forward-kl, reverse-kl, jsd:BETA, skewed-kl:ALPHA,
   * skewed-reverse-kl:ALPHA, cross-entropy, or a mixture such as 0.7*forward-kl+0.3*reverse-kl.
   */
  @WithDefault("forward-kl")
  String objective();

  /** What is minimised on rollouts: as for data, or sampled-reverse-kl. */
  @WithDefault("forward-kl")
  String rolloutObjective();

  /**
   * Share of cross-entropy on the standing token in the loss of data; the rest is the divergence
   * from the teacher. Rollouts have none: their tokens are the student's own.
   */
  @WithDefault("0.1")
  double crossEntropyShare();

  /** Share of prompts, chosen by hash, that are never trained on. */
  @WithDefault("0.1")
  double heldOutFraction();

  /** Newest held-out sequences that quality is measured on. */
  @WithDefault("512")
  int heldOutSize();

  /** Steps between measurements on held-out sequences. */
  @WithDefault("50")
  int validationSteps();

  /** Label records taken in between two steps at most, of requests and of rollouts each. */
  @WithDefault("256")
  int intakeSequences();

  /** Labelled sequences before training begins. */
  @WithDefault("32")
  int minimumLabels();

  /** Most passes over a label: without new ones training waits. */
  @WithDefault("32")
  double maxReuse();

  /** Sequences kept to train on again, a sample of all but the recent ones that fades. */
  @WithDefault("8192")
  int replaySize();

  /** Time between requests that halves the chance of the older one to be in that sample. */
  @WithDefault("PT168H")
  Duration replayHalfLife();

  /** Newest sequences, kept beside the sample. */
  @WithDefault("1024")
  int recentSize();

  /** Share of repeated sequences that are drawn from the recent ones. */
  @WithDefault("0.5")
  double recentShare();

  /**
   * Memory of all sequences kept: half for the replay buffer, an eighth each for rollouts and
   * quarantine, a quarter for the held-out ones.
   */
  @WithDefault("536870912")
  long bufferBytes();

  /**
   * Stage of the recipe: auto turns to rollouts when the student agrees well enough, no longer gets
   * better from data, or the steps are done; data and on-policy are by hand.
   */
  @WithDefault("auto")
  StageChoice stage();

  /** On-policy share: rollouts among the sequences of a step; 0 never writes any. */
  @WithDefault("0.25")
  double lambda();

  /** Steps in which the on-policy share rises to that. */
  @WithDefault("200")
  int lambdaRampSteps();

  /** Held-out agreement with the teacher from which on rollouts are written. */
  @WithDefault("0.6")
  double onPolicyAgreement();

  /** Measurements without a better held-out KL after which rollouts are written; 0 never. */
  @WithDefault("10")
  int plateauValidations();

  /** Steps after which rollouts are written whatever the figures. */
  OptionalLong onPolicySteps();

  /** Sampling temperature of rollouts. */
  @WithDefault("0.9")
  double rolloutTemperature();

  /** Longest rollout, in tokens. */
  @WithDefault("64")
  int rolloutMaxTokens();

  /** Rollouts that are written at the same time. */
  @WithDefault("8")
  int rolloutSlots();

  /** The student's likeliest ids a token that a rollout names for the teacher to score. */
  @WithDefault("16")
  int rolloutSupport();

  /** Rollouts sent and not yet back at most; more are not written meanwhile. */
  @WithDefault("256")
  int rolloutsInFlight();

  /** Scored rollouts that are kept. */
  @WithDefault("1024")
  int rolloutSize();

  /** Steps after which a new version of the student, of newer weights, writes the rollouts. */
  @WithDefault("200")
  int rolloutRefreshSteps();

  /** Versions that the one which wrote a rollout may be behind; more is too old. */
  @WithDefault("15")
  int maxStaleness();

  /**
   * What becomes of rollouts that are too old: drop, or weight: trained on with their rows weighted
   * by how likely the student would write them now.
   */
  @WithDefault("drop")
  StaleRollouts staleRollouts();

  /** Largest such weight. */
  @WithDefault("2")
  double importanceClip();

  /** Time between snapshots. */
  @WithDefault("PT20S")
  Duration snapshotInterval();

  /** Steps between snapshots, instead of a time. */
  OptionalLong snapshotSteps();

  /** How a snapshot's matrices are stored: none, int8, int4 or fp8. */
  @WithDefault("int8")
  WeightFormat snapshotFormat();

  /**
   * Formats that a fleet may choose from, of safetensors, hf, onnx and gguf; safetensors is always
   * one of them. All are made of the same weights.
   */
  @WithDefault("safetensors")
  List<SnapshotFormat> snapshotFormats();

  /**
   * Most that a format may differ from the snapshot's safetensors, as KL in nats a token; one that
   * differs more is left out.
   */
  @WithDefault("0.01")
  double snapshotFormatDivergence();

  /**
   * How the numbers of a snapshot's matrices are chosen: rtn rounds each to the nearest; gptq and
   * quantease keep what the matrices put out on the newest traffic, which is run through the
   * student for every snapshot. Embeddings are rounded to nearest in any case.
   */
  @WithDefault("rtn")
  QuantisationMethod quantisationMethod();

  /**
   * Tokens of traffic after which a token counts half as much in that: three times as many of the
   * newest are run through the student, about twice the arithmetic of reading them.
   */
  @WithDefault("8192")
  long calibrationHalfLife();

  /**
   * Whether a snapshot must be shown, on held-out labels, not to be worse than the published one:
   * overall, and with no segment that is shown to be worse. The first one of a channel is published
   * in any case.
   */
  @WithDefault("true")
  boolean gate();

  /** How much worse still counts as not worse, relative in KL and absolute in agreement. */
  @WithDefault("0.01")
  double gateTolerance();

  /** Held-out sequences from which on a segment is judged apart; smaller ones are pooled. */
  @WithDefault("20")
  int gateSegmentMinimum();

  /**
   * Least held-out agreement with the teacher, by the lower end of its 95 % interval, that a
   * snapshot is published with; unset asks for none.
   */
  OptionalDouble gateMinimumAgreement();

  /**
   * Held-out prompts, as token ids, that each snapshot carries with its own greedy answers, so that
   * a fleet can see that its runtime gives the same. They are text of users, and stay as long as
   * the snapshot; 0 for none.
   */
  @WithDefault("4")
  int goldenPrompts();

  /** Time between checkpoints. */
  @WithDefault("PT30S")
  Duration checkpointInterval();

  /** Time between rows of the run's files, in the data directory's {@code runs}. */
  @WithDefault("PT5S")
  Duration recordInterval();

  /** Steps between checkpoints, instead of a time. */
  OptionalLong checkpointSteps();

  /** Newest checkpoints that are kept; the others are there should the newest be torn. */
  @WithDefault("2")
  int checkpointRetention();

  /** Step after which training ends as by a stop; unset goes on without end. */
  OptionalLong stopAtStep();

  /** Seed of a new student, of batches and of rollouts. */
  @WithDefault("42")
  long seed();

  /** Threads of libtorch, a device. */
  @WithDefault("1")
  int threads();

  /**
   * Where the student is trained: cpu, cuda:N, or several separated by commas, which share a step's
   * sequences.
   */
  @WithDefault("cpu")
  String devices();

  /**
   * What a device does at most, in float32 GFLOP/s: what utilisation is a share of. Unset, matrix
   * products are timed at the start, for a third of a second.
   */
  OptionalDouble peakGflops();

  /** What matrices are multiplied in: f32, bf16, or auto: bf16 where the hardware has it. */
  @WithDefault("auto")
  Precision precision();

  /**
   * Layers between the activations that a step keeps; the others are computed again on the way
   * back. 0 keeps all: the fastest, and the most memory.
   */
  @WithDefault("0")
  int checkpointEvery();

  /**
   * Where the optimizer's state is between updates: none: beside the weights; host: in memory, off
   * the device; disk: in a scratch file in the data directory. The result is the same.
   */
  @WithDefault("none")
  String offload();

  /** The first so many layers are not trained, and need neither gradients nor moments. */
  @WithDefault("0")
  int frozenLayers();

  /** Whether the embeddings stay with frozen layers; a head that is tied to them then does too. */
  @WithDefault("true")
  boolean frozenEmbeddings();

  /**
   * When the student is cut, and to what: none, or shares of its parts to keep, neurons, kv
   * (key-value heads with their query heads) or layers. {@code
   * neurons:0.75@2000..8000/4,kv:0.5@9000} makes four cuts from step 2000 to step 8000, until three
   * quarters of the neurons are left, and one at step 9000. Training waits while it is cut.
   */
  @WithDefault("none")
  String prune();

  /** Low-rank adapters instead of the student's own weights. */
  Lora lora();

  /** Low-rank adapters: what is trained is small, what is published has them merged. */
  interface Lora {
    /** Rank of the adapters; 0 trains the student's own weights. */
    @WithDefault("0")
    int rank();

    /** Their strength: what they add is multiplied by alpha over rank. */
    @WithDefault("16")
    double alpha();

    /** Matrices that have one. */
    @WithDefault("q,k,v,o,gate,up,down")
    String targets();
  }

  /** The page, metrics and health. */
  Http http();

  /** Which stage training is in. */
  enum StageChoice {
    /** What the figures say. */
    AUTO,
    /** Teacher-labelled traffic alone. */
    DATA,
    /** Traffic and rollouts. */
    ON_POLICY
  }

  /** What becomes of rollouts of a student too many versions behind. */
  enum StaleRollouts {
    /** They are let go of. */
    DROP,
    /** They count by their importance. */
    WEIGHT
  }

  /** The page, metrics and health. */
  interface Http {
    /** Address to listen on; the default answers this machine only. */
    @WithDefault("127.0.0.1")
    String host();

    /** Port of the page, metrics and health; 0 takes any free one, a negative one none. */
    @WithDefault("7074")
    int port();
  }
}
