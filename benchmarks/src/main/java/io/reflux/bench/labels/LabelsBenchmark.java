package io.reflux.bench.labels;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.labels.Blocks.Labels;
import io.reflux.bench.labels.Distributions.Kind;
import io.reflux.bench.labels.Distributions.Row;
import io.reflux.bench.labels.Samples.Column;
import io.reflux.bench.labels.Samples.Line;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** Bytes, truth and speed of every encoding of soft labels, beside codecs that others published. */
public final class LabelsBenchmark implements Benchmark {
  private static final Encoding TOPK = new Encoding(LabelEncoding.TOPK, 50);
  private static final Encoding SAMPLED = new Encoding(LabelEncoding.SAMPLED, 50);

  private final Size chosen;

  /**
   * How much to measure.
   *
   * @param rows labelled tokens of a record
   * @param passes over a record a run, for the clock
   * @param warmUps timed runs that do not count
   */
  record Size(int vocabulary, int rows, int runs, int passes, int warmUps) {
    static final Size FULL = new Size(151_936, 64, 7, 300, 12);
    static final Size QUICK = new Size(151_936, 16, 3, 300, 6);
  }

  public LabelsBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  LabelsBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "labels";
  }

  @Override
  public String description() {
    return "soft-label codec: bytes a token, what survives, encoding and decoding speed";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.PLOT);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    Result.Builder result = new Result.Builder(name());
    Samples samples = new Samples();
    Distributions distributions = new Distributions(size.vocabulary(), options.seed());
    Random random = new Random(options.seed());
    Map<Kind, Shape> shapes = new EnumMap<>(Kind.class);
    for (int run = 0; run < size.runs(); run++) {
      progress.printf("labels: run %d of %d%n", run + 1, size.runs());
      progress.flush();
      List<Timed> timed = new ArrayList<>();
      for (Kind kind : Kind.values()) {
        List<Row> rows = distributions.rows(size.rows(), kind);
        shapes.computeIfAbsent(kind, k -> new Shape()).add(rows);
        for (Encoding encoding : Encoding.ALL) {
          timed.add(measure(new Line(encoding, kind), rows, size, random, samples));
        }
      }
      for (int warmUp = 0; run == 0 && warmUp < size.warmUps(); warmUp++) {
        time(timed, size, new Samples());
      }
      time(timed, size, samples);
    }
    headlines(samples, result);
    conditions(size, result);
    result
        .table(samples.table())
        .table(Shape.table(shapes))
        .table(Published.table(size.vocabulary()));
    if (options.plot().isPresent()) {
      Path file = options.plot().get();
      LabelPlot.write(file, samples, size.vocabulary());
      progress.println("drawn: " + file);
      progress.flush();
    }
    return result.build();
  }

  private record Timed(Line key, LabelBlock block, byte[] bytes) {}

  private static Timed measure(Line key, List<Row> rows, Size size, Random random, Samples samples)
      throws IOException, SoftLabelFormatException {
    Labels labels = Blocks.of(rows, key.encoding(), random);
    byte[] bytes = SoftLabelCodec.encode(labels.block(), size.vocabulary());
    LabelBlock decoded = SoftLabelCodec.decode(bytes, size.vocabulary());
    Quality quality = Quality.of(rows, labels, decoded, random);
    samples.add(key, Column.BYTES_PER_TOKEN, (double) bytes.length / rows.size());
    samples.add(
        key,
        Column.RECORD_BYTES_PER_TOKEN,
        WireRecord.bytesPerToken(rows, bytes, size.vocabulary(), random));
    samples.add(key, Column.RECONSTRUCTION_KL, quality.reconstructionKl());
    if (!Double.isNaN(quality.evenTailKl())) {
      samples.add(key, Column.EVEN_TAIL_KL, quality.evenTailKl());
    }
    samples.add(key, Column.GRADIENT_ANGLE, quality.gradient().meanAngle());
    samples.add(key, Column.GRADIENT_ANGLE_TOGETHER, quality.gradient().angle());
    samples.add(key, Column.GRADIENT_NORM, quality.gradient().norm());
    samples.add(key, Column.EXPECTED_ANGLE, quality.expected().meanAngle());
    samples.add(key, Column.EXPECTED_ANGLE_TOGETHER, quality.expected().angle());
    samples.add(key, Column.EXPECTED_NORM, quality.expected().norm());
    if (quality.renormalised() != null) {
      samples.add(key, Column.RENORMALISED_ANGLE, quality.renormalised().meanAngle());
      samples.add(key, Column.RENORMALISED_ANGLE_TOGETHER, quality.renormalised().angle());
      samples.add(key, Column.RENORMALISED_NORM, quality.renormalised().norm());
    }
    return new Timed(key, labels.block(), bytes);
  }

  private static void time(List<Timed> all, Size size, Samples samples)
      throws SoftLabelFormatException {
    long kept = 0;
    for (Timed timed : all) {
      double tokens = (double) size.passes() * size.rows();
      long started = System.nanoTime();
      for (int pass = 0; pass < size.passes(); pass++) {
        kept += SoftLabelCodec.encode(timed.block(), size.vocabulary()).length;
      }
      long between = System.nanoTime();
      for (int pass = 0; pass < size.passes(); pass++) {
        kept += SoftLabelCodec.decode(timed.bytes(), size.vocabulary()).rows();
      }
      long ended = System.nanoTime();
      samples.add(timed.key(), Column.ENCODE_NANOS_PER_TOKEN, (between - started) / tokens);
      samples.add(timed.key(), Column.DECODE_NANOS_PER_TOKEN, (ended - between) / tokens);
    }
    if (kept == 0) {
      throw new IllegalStateException("nothing was encoded");
    }
  }

  private static void headlines(Samples samples, Result.Builder result) {
    Line topK = new Line(TOPK, Kind.EVEN);
    Line sampled = new Line(SAMPLED, Kind.EVEN);
    for (double bytes : samples.all(topK, Column.BYTES_PER_TOKEN)) {
      result.sample("topk50_bytes_per_token", bytes, "bytes");
    }
    for (double bytes : samples.all(sampled, Column.BYTES_PER_TOKEN)) {
      result.sample("sampled50_bytes_per_token", bytes, "bytes");
    }
    for (double kl : samples.all(topK, Column.RECONSTRUCTION_KL)) {
      result.sample("reconstruction_kl", kl, "nats");
    }
    Line text = new Line(TOPK, Kind.TEXT);
    for (double bytes : samples.all(text, Column.BYTES_PER_TOKEN)) {
      result.sample("topk50_text_bytes_per_token", bytes, "bytes");
    }
    for (double kl : samples.all(text, Column.RECONSTRUCTION_KL)) {
      result.sample("text_reconstruction_kl", kl, "nats");
    }
    for (double bytes : samples.all(new Line(SAMPLED, Kind.TEXT), Column.BYTES_PER_TOKEN)) {
      result.sample("sampled50_text_bytes_per_token", bytes, "bytes");
    }
    for (double nanos : samples.all(topK, Column.DECODE_NANOS_PER_TOKEN)) {
      result.sample("decode_tokens_per_second", 1e9 / nanos, "tokens/s");
    }
    for (double nanos : samples.all(topK, Column.ENCODE_NANOS_PER_TOKEN)) {
      result.sample("encode_tokens_per_second", 1e9 / nanos, "tokens/s");
    }
  }

  private static void conditions(Size size, Result.Builder result) {
    result
        .condition("vocabulary", size.vocabulary())
        .condition("rows_a_record", size.rows())
        .condition("threads", 1)
        .condition(
            "distributions",
            "made up: power laws by rank, noise %s a rank, entropy log-normal, %s to %s nats"
                .formatted(
                    Distributions.TEACHER_NOISE,
                    Distributions.LEAST_ENTROPY,
                    Distributions.MOST_ENTROPY))
        .condition(
            "student",
            "the teacher's logits / %s, with normal noise of %s"
                .formatted(Distributions.STUDENT_TEMPERATURE, Distributions.STUDENT_NOISE))
        .condition(
            "rows",
            ("even: any id is as likely as any other, which the figures use; zipf: by ln(id + %s) +"
                    + " %s N(0, 1); both as sure as Qwen3-8B of its own responses (half below 0.01"
                    + " nats, a fifth above 0.672, arXiv 2506.01939); text: any id, 50 draws name"
                    + " about 12 (arXiv 2503.16870)")
                .formatted(Distributions.ZIPF_OFFSET, Distributions.ZIPF_NOISE))
        .condition(
            "gradient",
            "of the loss in the student's logits against softmax(z) - p: mean angle of a position,"
                + " angle of a record's positions together, ratio of lengths; expected: mean over "
                + Quality.DRAWS_OF_A_ROW
                + " labels of a row where they are drawn; renormalised: the ids alone, made to sum"
                + " to one")
        .condition(
            "record_bytes_per_token",
            "of a labelled token: Avro with as long a prompt, lz4, one record a batch, key and"
                + " batch header");
  }
}
