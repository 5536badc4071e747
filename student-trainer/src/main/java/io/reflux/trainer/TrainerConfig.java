package io.reflux.trainer;

import io.reflux.trainer.nn.Precision;
import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.time.Duration;
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

  /** After the warm-up, for good. */
  @WithDefault("0.002")
  double learningRate();

  /** Steps in which the learning rate rises to its value. */
  @WithDefault("100")
  int warmUpSteps();

  /** AdamW's decay of matrices, a unit of learning rate. */
  @WithDefault("0.01")
  double weightDecay();

  /** Longer gradients are scaled down to it. */
  @WithDefault("1.0")
  double maxGradientNorm();

  /** Tokens of the sequences of a step, prompts included. */
  @WithDefault("2048")
  int batchTokens();

  /** Share of cross-entropy on the standing token in the loss; the rest is KL to the teacher. */
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

  /** Sequences kept to train on again, a uniform sample of all but the recent ones. */
  @WithDefault("8192")
  int replaySize();

  /** Newest sequences, kept beside the sample. */
  @WithDefault("1024")
  int recentSize();

  /** Share of repeated sequences that are drawn from the recent ones. */
  @WithDefault("0.5")
  double recentShare();

  /** On-policy share: rollouts among the sequences of a step; 0 never writes any. */
  @WithDefault("0.25")
  double lambda();

  /** Held-out agreement with the teacher from which on rollouts are written. */
  @WithDefault("0.6")
  double onPolicyAgreement();

  /** Steps after which rollouts are written whatever the agreement. */
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

  /** Steps after which rollouts are written with newer weights. */
  @WithDefault("200")
  int rolloutRefreshSteps();

  /** Rollouts of students more steps behind than this are dropped. */
  @WithDefault("3000")
  long maxStaleness();

  /** Time between snapshots. */
  @WithDefault("PT20S")
  Duration snapshotInterval();

  /** Steps between snapshots, instead of a time. */
  OptionalLong snapshotSteps();

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
