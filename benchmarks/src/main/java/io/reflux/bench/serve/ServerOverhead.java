package io.reflux.bench.serve;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.bench.Result;
import io.reflux.bench.kafka.Configs;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.serving.ServedModel;
import io.reflux.serving.ServerConfig;
import io.reflux.serving.ServerService;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotPublisher;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A server with streams over HTTP, against the same work in a bare loop around the session. */
final class ServerOverhead implements AutoCloseable {
  private static final int PATIENCE_SECONDS = 120;

  /** One takes a few tenths of a second, too little to time by itself. */
  private static final int ROUNDS = 6;

  private final BenchStudent student;
  private final int streams;
  private final int positions;
  private final DevStack stack;
  private final ServerService server;
  private final BareDecode bare;

  /**
   * Publishes the student and waits until it is served.
   *
   * @param student of 8-bit matrices
   */
  ServerOverhead(BenchStudent student, int streams, int positions, Path folder) throws Exception {
    this.student = student;
    this.streams = streams;
    this.positions = positions;
    this.bare = new BareDecode(student, streams, positions);
    this.stack = DevStack.start(folder.resolve("broker"));
    this.server = serve(folder);
  }

  private ServerService serve(Path folder) throws InterruptedException {
    KafkaClients clients = stack.clients();
    clients.createTopics();
    Path directory = folder.resolve("served-student");
    LanguageModel.save(
        directory,
        student.config(),
        student.weights(),
        WeightFormat.INT8.dtype(),
        student.text().directory());
    LanguageModel model = LanguageModel.load(directory);
    try (SnapshotPublisher publisher = new SnapshotPublisher(clients)) {
      publisher.publish(
          directory,
          new SnapshotInfo(
              "student",
              WeightFormat.INT8.toString(),
              model.fingerprint(),
              "none",
              model.tokenizerFingerprint(),
              model.chatTemplateFingerprint(),
              0,
              0,
              student.config().parameters(),
              Map.of(),
              Map.of(),
              0,
              "benchmark"),
          "stable");
    }
    ServerService service =
        new ServerService(
            Configs.of(
                ServerConfig.class,
                "reflux.serve.",
                Map.of(
                    "port", "0",
                    "data-dir", folder.resolve("server").toString(),
                    "slots", Integer.toString(streams),
                    "max-positions", Integer.toString(positions))),
            clients,
            new SimpleMeterRegistry());
    CountDownLatch serving = new CountDownLatch(1);
    service.addListener((ServedModel now) -> serving.countDown());
    service.start();
    if (!serving.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
      throw new IllegalStateException("nothing served in " + PATIENCE_SECONDS + " s");
    }
    return service;
  }

  /** Adds one run, of several rounds, in every other one of which the server is first. */
  void measure(int run, int promptTokens, int tokens, Result.Builder result) throws Exception {
    double servedSeconds = 0;
    double servedCpu = 0;
    double aloneSeconds = 0;
    double aloneCpu = 0;
    for (int round = 0; round < ROUNDS; round++) {
      List<String> prompts = new ArrayList<>();
      for (int i = 0; i < streams; i++) {
        prompts.add(student.prompt(promptTokens, 1_000_003L * (run * ROUNDS + round) + i));
      }
      Streams.Time served = round % 2 == 0 ? served(prompts, tokens) : null;
      Streams.Time alone = bare(prompts, tokens);
      served = served == null ? served(prompts, tokens) : served;
      servedSeconds += served.seconds();
      servedCpu += served.cpuSeconds();
      aloneSeconds += alone.seconds();
      aloneCpu += alone.cpuSeconds();
    }
    if (run < 0) {
      return;
    }
    double all = (double) ROUNDS * streams * tokens;
    result
        .sample("server_overhead", servedSeconds / aloneSeconds - 1, "")
        .sample("server_tokens_per_second", all / servedSeconds, "tokens/s")
        .sample("bare_tokens_per_second", all / aloneSeconds, "tokens/s")
        .sample("server_cpu_per_token", 1e6 * (servedCpu - aloneCpu) / all, "us");
  }

  private Streams.Time served(List<String> prompts, int tokens) throws Exception {
    StreamingClient client = new StreamingClient(server.port());
    List<Callable<Void>> tasks = new ArrayList<>();
    for (String prompt : prompts) {
      tasks.add(
          () -> {
            client.complete(prompt, tokens);
            return null;
          });
    }
    return Streams.of(tasks);
  }

  private Streams.Time bare(List<String> prompts, int tokens) throws Exception {
    List<int[]> ids = prompts.stream().map(student::promptIds).toList();
    return Streams.of(
        List.of(
            () -> {
              bare.run(ids, tokens);
              return null;
            }));
  }

  @Override
  public void close() throws Exception {
    server.close();
    stack.close();
    bare.close();
  }
}
