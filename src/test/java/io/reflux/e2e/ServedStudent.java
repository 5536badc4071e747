package io.reflux.e2e;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.config.Settings;
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
import io.reflux.producers.MirrorConfig;
import io.reflux.run.ServedMirror;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.serving.ServedModel;
import io.reflux.serving.ServerConfig;
import io.reflux.serving.ServerService;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotPublisher;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A broker, a student of random weights, and a server of it, in this process. */
final class ServedStudent implements AutoCloseable {
  private static final int POSITIONS = 2048;
  private static final String END = "<|end|>";
  private static final String TEMPLATE =
      "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
          + "{% if add_generation_prompt %}<|assistant|>{% endif %}";
  private static final List<String> SPECIALS =
      List.of(END, "<|user|>", "<|assistant|>", "<|system|>");

  private final DevStack stack;
  private final KafkaClients clients;
  private final ServerService server;

  private ServedStudent(DevStack stack, ServerService server) {
    this.stack = stack;
    this.clients = stack.clients();
    this.server = server;
  }

  /** Returns when it serves; what it serves is mirrored. */
  static ServedStudent start(Path folder, int slots) throws InterruptedException {
    DevStack stack = DevStack.start(folder.resolve("broker"));
    KafkaClients clients = stack.clients();
    clients.createTopics();
    Settings settings =
        Settings.load(
            null,
            Map.of(),
            Map.of(),
            new HashMap<>(
                Map.of(
                    "reflux.serve.port", "0",
                    "reflux.serve.data-dir", folder.resolve("served").toString(),
                    "reflux.serve.slots", Integer.toString(slots),
                    "reflux.serve.queue-limit", "0",
                    "reflux.serve.mirror", "true",
                    "reflux.mirror.segment", "served")));
    publish(clients, folder);
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    ServerService server = new ServerService(settings.get(ServerConfig.class), clients, meters);
    ServedMirror.attach(server, settings.get(MirrorConfig.class), clients, meters);
    CountDownLatch serving = new CountDownLatch(1);
    server.addListener((ServedModel now) -> serving.countDown());
    server.start();
    if (!serving.await(60, TimeUnit.SECONDS)) {
      throw new AssertionError("no version served in 60 s");
    }
    return new ServedStudent(stack, server);
  }

  /** For OpenAI's clients. */
  String url() {
    return server.url() + "/v1";
  }

  KafkaClients clients() {
    return clients;
  }

  /** Ends the server, so that all it mirrors is in Kafka. */
  void stopServer() {
    server.close();
  }

  @Override
  public void close() {
    server.close();
    stack.close();
  }

  private static void publish(KafkaClients clients, Path folder) {
    Path tokenizer = folder.resolve("tokenizer");
    List<String> texts =
        List.of(
            "Where is my parcel? It was sent on Monday, and nothing has come.",
            "I would like my money back, please: the kettle leaks.",
            "How do I change the address of an order that I have paid for?");
    BpeVocabulary vocabulary = BpeTrainer.train(texts.iterator(), 400, SPECIALS);
    vocabulary.write(
        tokenizer,
        new BpeVocabulary.Roles(Optional.empty(), Optional.of(END), Optional.of(TEMPLATE)));
    ModelConfig config =
        new ModelConfig(
            ModelConfig.Architecture.LLAMA,
            vocabulary.size(),
            64,
            128,
            3,
            4,
            2,
            16,
            POSITIONS,
            1e-5,
            10_000,
            null,
            false,
            false,
            false,
            OptionalInt.empty(),
            OptionalInt.empty(),
            List.of(vocabulary.specialId(END)));
    Path directory = folder.resolve("student");
    LanguageModel.save(directory, config, endless(config), DType.F32, tokenizer);
    LanguageModel model = LanguageModel.load(directory);
    try (SnapshotPublisher publisher = new SnapshotPublisher(clients)) {
      publisher.publish(
          directory,
          new SnapshotInfo(
              "student",
              "none",
              model.fingerprint(),
              "teacher",
              model.tokenizerFingerprint(),
              model.chatTemplateFingerprint(),
              1,
              1,
              config.parameters(),
              Map.of(),
              Map.of(),
              1,
              "test"),
          "stable");
    }
  }

  /** Never the first to end: special tokens have the lowest logits of all. */
  private static Weights endless(ModelConfig config) {
    Weights random = RandomModel.variedWeights(config, 3);
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : random.tensors()) {
      float[] floats = random.floats(tensor.name());
      if (tensor.name().equals("lm_head.weight")) {
        Arrays.fill(floats, 0, SPECIALS.size() * config.hiddenSize(), 0);
      }
      weights.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    return weights.build();
  }
}
