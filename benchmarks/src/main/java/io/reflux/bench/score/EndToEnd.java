package io.reflux.bench.score;

import ai.onnxruntime.OrtException;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.bench.Result;
import io.reflux.bench.kafka.Configs;
import io.reflux.bench.kafka.LabelWatch;
import io.reflux.bench.kafka.RequestMaker;
import io.reflux.bench.score.BareSession.Sequence;
import io.reflux.model.LanguageModel;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import io.reflux.scorer.ScorerConfig;
import io.reflux.scorer.ScorerService;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.Producer;

/**
 * The scorer from topic to topic against a loop over the bare session, in turns, on the same
 * sequences.
 *
 * <p>The requests of a run are written in one transaction, whose commit starts the clock: all are
 * on the topic by then, and the scorer, which is up and warm, sees them at once. The clock stops
 * when the last label is seen under read_committed. Reading, tokenising, batching, scoring,
 * encoding and committing are all inside, and so are the first batch's wait and the last commit.
 */
final class EndToEnd {
  private static final Duration LONGEST_RUN = Duration.ofMinutes(10);

  private final String suffix;
  private final Path teacher;
  private final Size size;
  private final Result.Builder result;
  private final PrintWriter progress;
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private final Map<String, Double> before = new HashMap<>();

  /**
   * How much to measure.
   *
   * @param requests a run
   * @param runs counted, after two that warm up
   */
  record Size(int requests, int runs) {}

  EndToEnd(String suffix, Path teacher, Size size, Result.Builder result, PrintWriter progress) {
    this.suffix = suffix;
    this.teacher = teacher;
    this.size = size;
    this.result = result;
    this.progress = progress;
  }

  /**
   * Measures.
   *
   * @param clients of a prefix that nobody used before
   * @return one row for a table of conditions
   */
  List<Object> measure(KafkaClients clients, RequestMaker.Lengths lengths, long seed)
      throws InterruptedException, IOException, OrtException {
    clients.createTopics();
    LanguageModel model = LanguageModel.load(teacher);
    ScorerConfig config =
        Configs.scorer(
            Map.of(
                "teacher", teacher.toString(),
                "threads", "1",
                "cache-bytes", "0",
                "http.port", "-1",
                "instance", "bench"));
    RequestMaker maker = new RequestMaker(model.tokenizer(), lengths, seed);
    long tokens = 0;
    ScorerService scorer = new ScorerService(config, clients, meters);
    scorer.start();
    try (BareSession bare = BareSession.scoring(model.config(), model.weights(), config.topK());
        LabelWatch watch = LabelWatch.start(clients);
        Producer<String, byte[]> producer =
            clients.transactionalProducer("bench-requests", "bench-requests");
        TopicReader<SoftLabels> labels =
            clients
                .reader(Topics.SOFT_LABELS, clients.consumer("bench-labels", null, Map.of()))
                .assignAll()) {
      producer.initTransactions();
      TopicWriter<MirroredRequest> writer = clients.writer(Topics.REQUESTS, producer);
      for (int run = -2; run < size.runs(); run++) {
        progress.printf("end to end%s: run %d of %d%n", suffix, Math.max(run, 0) + 1, size.runs());
        progress.flush();
        double endToEnd = endToEnd(run, maker, producer, writer, watch);
        List<Sequence> sequences = read(labels);
        BareLoop.Outcome alone = BareLoop.run(bare, sequences, config.batchTokens());
        if (run < 0) {
          forgetBatches();
          continue;
        }
        long runTokens = sequences.stream().mapToLong(sequence -> sequence.ids().length).sum();
        tokens += runTokens;
        result
            .sample("end_to_end_ratio" + suffix, alone.seconds() / endToEnd, "")
            .sample("end_to_end_tokens_per_second" + suffix, runTokens / endToEnd, "tokens/s")
            .sample("bare_tokens_per_second" + suffix, runTokens / alone.seconds(), "tokens/s")
            .sample("bare_padding_share" + suffix, alone.padding(), "");
        sampleBatches(endToEnd, result);
      }
      if (watch.deadLetters() > 0) {
        throw new RefluxException("bench: dead letters: " + watch.deadLetters());
      }
    } finally {
      scorer.close();
    }
    return List.of(
        suffix.isEmpty() ? "bundled" : suffix.substring(1),
        model.config().parameters(),
        model.config().vocabularySize(),
        config.topK(),
        config.batchTokens(),
        size.requests(),
        tokens / size.runs());
  }

  /** Seconds from the commit of the requests to the sight of the last label. */
  private double endToEnd(
      int run,
      RequestMaker maker,
      Producer<String, byte[]> producer,
      TopicWriter<MirroredRequest> writer,
      LabelWatch watch)
      throws InterruptedException {
    long labelsBefore = watch.labels();
    producer.beginTransaction();
    for (int i = 0; i < size.requests(); i++) {
      String id = "bench-" + run + "-" + i;
      // A failure comes out of the commit.
      var unused = writer.send(id, maker.answered(id));
    }
    producer.flush();
    long started = System.nanoTime();
    producer.commitTransaction();
    if (!watch.await(labelsBefore + size.requests(), LONGEST_RUN)) {
      throw new RefluxException(
          "bench: labels: %d after %s (expected: %d)"
              .formatted(watch.labels() - labelsBefore, LONGEST_RUN, size.requests()));
    }
    return (watch.lastLabelNanos() - started) / 1e9;
  }

  /** The sequences of a run, as the scorer's tokenizer made them. */
  private List<Sequence> read(TopicReader<SoftLabels> labels) {
    List<Sequence> sequences = new ArrayList<>();
    while (sequences.size() < size.requests()) {
      List<Received<SoftLabels>> received =
          labels.poll(
              Duration.ofSeconds(1),
              bad -> {
                throw new RefluxException("bench: unreadable: " + bad);
              });
      for (Received<SoftLabels> record : received) {
        SoftLabels label = record.value();
        sequences.add(
            new Sequence(
                label.getTokenIds().stream().mapToInt(Integer::intValue).toArray(),
                label.getPromptLength()));
      }
    }
    return sequences;
  }

  private void forgetBatches() {
    sampleBatches(1, new Result.Builder(""));
  }

  /** What the scorer says of the run itself. */
  private void sampleBatches(double seconds, Result.Builder into) {
    double scored = since("scored_tokens_total");
    double padded = since("padded_tokens_total");
    into.sample("padding_share" + suffix, 1 - scored / padded, "")
        .sample("batch_fill" + suffix, padded / since("batch_budget_tokens_total"), "")
        .sample("device_busy_share" + suffix, since("device_busy_seconds_total") / seconds, "")
        .sample("label_latency" + suffix, sinceMean("label_latency"), "s");
  }

  /** What a counter grew by since it was last asked for. */
  private double since(String name) {
    return grownBy(name, meters.get(name).meter().measure().iterator().next().getValue());
  }

  /** Mean of a timer's values since it was last asked for, seconds. */
  private double sinceMean(String name) {
    Timer timer = meters.get(name).timer();
    return grownBy(name + " total", timer.totalTime(TimeUnit.SECONDS))
        / grownBy(name + " count", (double) timer.count());
  }

  private double grownBy(String name, double now) {
    Double last = before.put(name, now);
    return now - (last == null ? 0 : last);
  }
}
