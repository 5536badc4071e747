package io.reflux.serving;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotPublisher;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;

/** One test's own loop: a publisher of small random models, and servers of what it publishes. */
final class Fleet implements AutoCloseable {
  static final int MAX_POSITIONS = 4096;

  private static final String END = "<|end|>";
  private static final String TEMPLATE =
      "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
          + "{% if add_generation_prompt %}<|assistant|>{% endif %}";
  private static final List<String> TEXTS =
      List.of(
          "Where is my parcel? It was sent on Monday, and nothing has come.",
          "I would like my money back, please: the kettle leaks.",
          "Öffnet ihr am Sonntag? Schöne Grüße, 你好, and thanks a lot!",
          "How do I change the address of an order that I have paid for?");

  private final KafkaClients clients;
  private final SnapshotAccess access;
  private final Path directory;
  private final SnapshotPublisher publisher;

  Fleet(DevStack stack, Path directory) {
    this(stack, directory, SnapshotAccess::unsigned);
  }

  /**
   * @param access with which it publishes, and its servers read
   */
  Fleet(DevStack stack, Path directory, Function<KafkaClients, SnapshotAccess> access) {
    String prefix = "t" + UUID.randomUUID().toString().substring(0, 8) + ".";
    this.clients = new KafkaClients(stack.kafkaConfig(prefix), stack.registryConfig());
    this.access = access.apply(clients);
    this.directory = directory;
    clients.createTopics();
    publisher = new SnapshotPublisher(this.access);
  }

  KafkaClients clients() {
    return clients;
  }

  /** A model of random weights. */
  LanguageModel model(long seed) {
    Path tokenizer = directory.resolve("tokenizer");
    BpeVocabulary vocabulary =
        BpeTrainer.train(
            TEXTS.iterator(), 400, List.of(END, "<|user|>", "<|assistant|>", "<|system|>"));
    vocabulary.write(
        tokenizer,
        new BpeVocabulary.Roles(Optional.empty(), Optional.of(END), Optional.of(TEMPLATE)));
    ModelConfig config =
        new ModelConfig(
            ModelConfig.Architecture.LLAMA,
            vocabulary.size(),
            32,
            64,
            2,
            4,
            2,
            8,
            MAX_POSITIONS,
            1e-5,
            10_000,
            null,
            false,
            false,
            false,
            OptionalInt.empty(),
            OptionalInt.empty(),
            List.of(vocabulary.specialId(END)));
    Path target = directory.resolve("model-" + seed);
    LanguageModel.save(target, config, endless(config, seed), DType.F32, tokenizer);
    return LanguageModel.load(target);
  }

  /** Greedy answers never end by themselves: the special tokens' logits are 0, others' higher. */
  private static Weights endless(ModelConfig config, long seed) {
    Weights random = RandomModel.variedWeights(config, seed);
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : random.tensors()) {
      float[] floats = random.floats(tensor.name());
      if (tensor.name().equals("lm_head.weight")) {
        Arrays.fill(floats, 0, 4 * config.hiddenSize(), 0);
      }
      weights.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    return weights.build();
  }

  /** Publishes a model of random weights on channel stable. */
  SnapshotManifest publish(long seed) {
    LanguageModel model = model(seed);
    return publish(model, model.tokenizerFingerprint());
  }

  SnapshotManifest publish(LanguageModel model, String tokenizerFingerprint) {
    return publish(model, tokenizerFingerprint, "stable");
  }

  /** Publishes a model of random weights on a channel. */
  SnapshotManifest publish(long seed, String channel) {
    LanguageModel model = model(seed);
    return publish(model, model.tokenizerFingerprint(), channel);
  }

  /** Somebody else publishes a model of random weights on channel stable. */
  SnapshotManifest publish(SnapshotPublisher by, long seed) {
    LanguageModel model = model(seed);
    return publish(by, model, model.tokenizerFingerprint(), "stable");
  }

  private SnapshotManifest publish(
      LanguageModel model, String tokenizerFingerprint, String channel) {
    return publish(publisher, model, tokenizerFingerprint, channel);
  }

  private static SnapshotManifest publish(
      SnapshotPublisher by, LanguageModel model, String tokenizerFingerprint, String channel) {
    return by.publish(
        model.directory(),
        new SnapshotInfo(
            "student",
            "none",
            model.fingerprint(),
            "teacher",
            tokenizerFingerprint,
            model.chatTemplateFingerprint(),
            1,
            1,
            1,
            Map.of(),
            Map.of(),
            0,
            "test"),
        channel);
  }

  /** A server that is not started yet. */
  Running server(int slots, int queueLimit) {
    return server(slots, queueLimit, Map.of());
  }

  /**
   * A server that is not started yet.
   *
   * @param more settings, without {@code reflux.serve.}
   */
  Running server(int slots, int queueLimit, Map<String, String> more) {
    return new Running(this, slots, queueLimit, more);
  }

  @Override
  public void close() {
    publisher.close();
  }

  static void await(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as("%s within 30 s", what).isLessThan(deadline);
      Thread.onSpinWait();
      java.util.concurrent.locks.LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
    }
  }

  /** A server and what it told its listeners. */
  static final class Running implements AutoCloseable, SnapshotSubscriber.Listener {
    private final MeterRegistry meters = new SimpleMeterRegistry();
    private final BlockingQueue<Long> swaps = new LinkedBlockingQueue<>();
    private final BlockingQueue<SnapshotException> problems = new LinkedBlockingQueue<>();
    private final ServerService service;

    private Running(Fleet fleet, int slots, int queueLimit, Map<String, String> more) {
      service =
          new ServerService(
              config(fleet.directory.resolve("serving"), slots, queueLimit, 0, more),
              fleet.access,
              meters);
      service.addListener(this);
    }

    Running start() {
      service.start();
      return this;
    }

    ServerService service() {
      return service;
    }

    double meter(String name) {
      return meters.get(name).counter().count();
    }

    /** A counter of one version on one channel; 0 before its first use. */
    double meter(String name, String channel, long version) {
      return meter(name, Map.of("channel", channel, "version", Long.toString(version)));
    }

    /** A counter with these tags; 0 before its first use. */
    double meter(String name, Map<String, String> tags) {
      List<Tag> wanted = new ArrayList<>();
      tags.forEach((key, value) -> wanted.add(Tag.of(key, value)));
      Counter counter = meters.find(name).tags(wanted).counter();
      return counter == null ? 0 : counter.count();
    }

    double gauge(String name) {
      return meters.get(name).gauge().value();
    }

    @Override
    public void swapped(ServedModel now) {
      swaps.add(now.version());
    }

    @Override
    public void problem(SnapshotException problem) {
      problems.add(problem);
    }

    void awaitVersion(long version) {
      try {
        Long swapped;
        do {
          swapped = swaps.poll(30, TimeUnit.SECONDS);
          assertThat(swapped).as("version %s within 30 s; %s", version, problems).isNotNull();
        } while (swapped < version);
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }

    SnapshotException awaitProblem() {
      try {
        SnapshotException problem = problems.poll(30, TimeUnit.SECONDS);
        assertThat(problem).as("a problem within 30 s").isNotNull();
        return problem;
      } catch (InterruptedException e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public void close() {
      service.close();
    }
  }

  /** The defaults, but for what tests need otherwise. */
  static ServerConfig config(
      Path dataDirectory, int slots, int queueLimit, int port, Map<String, String> more) {
    Map<String, String> settings = new HashMap<>();
    settings.put("data-dir", dataDirectory.toString());
    settings.put("slots", Integer.toString(slots));
    settings.put("queue-limit", Integer.toString(queueLimit));
    settings.put("port", Integer.toString(port));
    settings.put("keep-snapshots", "1");
    settings.put("max-positions", Integer.toString(MAX_POSITIONS));
    settings.put("default-max-tokens", "16");
    settings.put("max-tokens-limit", "4000");
    settings.putAll(more);
    SmallRyeConfigBuilder builder = new SmallRyeConfigBuilder().withMapping(ServerConfig.class);
    settings.forEach((key, value) -> builder.withDefaultValue("reflux.serve." + key, value));
    return builder.build().getConfigMapping(ServerConfig.class);
  }
}
