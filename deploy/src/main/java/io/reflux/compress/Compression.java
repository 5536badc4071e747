package io.reflux.compress;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Calibration;
import io.reflux.model.compress.CalibrationSums;
import io.reflux.model.compress.PrunedModel;
import io.reflux.model.compress.PrunedShape;
import io.reflux.model.compress.PruningOptions;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.compress.StructuredPruning;
import io.reflux.model.evaluate.Fidelity;
import io.reflux.model.evaluate.Throughput;
import io.reflux.model.gguf.GgufCheckpoint;
import io.reflux.model.gguf.GgufWriter;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Makes a model smaller, writes it, and measures what was written. */
public final class Compression {
  private static final int SPEED_RUNS = 5;

  private final LanguageModel model;
  private final CompressionPlan plan;
  private final Optional<Texts> texts;
  private final RuntimeOptions runtime;
  private final Consumer<String> progress;

  /**
   * Of one model.
   *
   * @param texts to calibrate and measure on; empty measures size and speed alone
   * @param progress told each step, a line each
   * @throws RefluxException if the plan needs texts and there are none
   */
  public Compression(
      LanguageModel model,
      CompressionPlan plan,
      Optional<Texts> texts,
      RuntimeOptions runtime,
      Consumer<String> progress) {
    if (plan.needsCalibration() && texts.isEmpty()) {
      throw new RefluxException(
          "--calibration: missing (expected: a file, for %s)"
              .formatted(plan.pruning().isPresent() ? "pruning" : plan.method()));
    }
    this.model = model;
    this.plan = plan;
    this.texts = texts;
    this.runtime = runtime;
    this.progress = progress;
  }

  /**
   * Compresses. The folder has all files or is not there.
   *
   * @param directory new, or empty
   */
  public CompressionReport run(Path directory) {
    requireEmpty(directory);
    Checkpoint small = compressed();
    write(small, directory);
    return measure(directory);
  }

  /**
   * Refuses a folder that has files.
   *
   * @throws RefluxException one line
   */
  public static void requireEmpty(Path directory) {
    if (!Files.exists(directory)) {
      return;
    }
    try (Stream<Path> files = Files.list(directory)) {
      if (files.findAny().isPresent()) {
        throw new RefluxException(
            "--out: " + directory + ": has files (expected: a new directory, or an empty one)");
      }
    } catch (IOException e) {
      throw new RefluxException(
          "--out: " + directory + " (expected: a new directory, or an empty one)", e);
    }
  }

  private Checkpoint compressed() {
    ModelConfig config = model.config();
    Weights weights = model.weights();
    if (plan.pruning().isPresent()) {
      PrunedShape shape = plan.pruning().get().shape(config);
      progress.accept(
          "pruning to %d layers, %d neurons, %d key-value heads …"
              .formatted(shape.layers(), shape.intermediateSize(), shape.keyValueHeads()));
      PrunedModel pruned =
          StructuredPruning.prune(
              config,
              weights,
              shape,
              PruningOptions.DEFAULT,
              texts.orElseThrow().calibration(),
              runtime);
      config = pruned.config();
      weights = pruned.weights();
    }
    if (plan.format() != WeightFormat.NONE) {
      Optional<CalibrationSums> sums = Optional.empty();
      // With any method they give better scales, where there are few bits.
      if (texts.isPresent()) {
        List<int[]> sequences = texts.get().calibration();
        progress.accept(
            "calibrating on %,d texts, %,d tokens …"
                .formatted(sequences.size(), Texts.tokens(sequences)));
        sums = Optional.of(Calibration.sums(config, weights, sequences, runtime));
      }
      progress.accept("quantising to %s by %s …".formatted(plan.format(), plan.method()));
      weights =
          Quantiser.of(plan.format(), plan.method(), Quantiser.DEFAULT_BLOCK_SIZE)
              .quantise(config, weights, sums);
    }
    return new Checkpoint(config, weights);
  }

  private void write(Checkpoint small, Path directory) {
    progress.accept("writing " + directory + " …");
    Path target = directory.toAbsolutePath();
    try {
      Files.createDirectories(target.getParent());
      // Not as a temporary folder is made, which nobody else may read.
      Path partial =
          Files.createDirectory(
              target.resolveSibling(target.getFileName() + "." + UUID.randomUUID() + ".partial"));
      try {
        if (plan.gguf().isPresent()) {
          GgufWriter.write(
              partial.resolve(ggufName()),
              small.config(),
              small.weights(),
              model.text(),
              plan.gguf().get());
        } else {
          LanguageModel.save(
              partial, small.config(), small.weights(), plan.format().dtype(), model.directory());
        }
        Files.deleteIfExists(target);
        Files.move(partial, target);
      } finally {
        delete(partial);
      }
    } catch (IOException e) {
      throw new RefluxException("--out: " + directory + ": " + e.getMessage(), e);
    }
  }

  private String ggufName() {
    return "model-" + plan.gguf().orElseThrow() + ".gguf";
  }

  private CompressionReport measure(Path directory) {
    Checkpoint written =
        plan.gguf().isPresent()
            ? GgufCheckpoint.load(directory.resolve(ggufName()))
            : checkpoint(LanguageModel.load(directory));
    double originalPerplexity = Double.NaN;
    Optional<Fidelity.Marks> marks = Optional.empty();
    if (texts.isPresent()) {
      List<int[]> heldOut = texts.get().heldOut();
      progress.accept(
          "comparing on %,d other texts, %,d tokens …"
              .formatted(heldOut.size(), Texts.tokens(heldOut)));
      Fidelity fidelity = Fidelity.prepare(model.config(), model.weights(), heldOut, runtime);
      originalPerplexity = fidelity.perplexity();
      marks = Optional.of(fidelity.of(written.config(), written.weights()));
    }
    progress.accept("timing both in turns, %d runs …".formatted(SPEED_RUNS));
    List<Throughput.Speed> before = new ArrayList<>();
    List<Throughput.Speed> after = new ArrayList<>();
    try (Throughput original = new Throughput(model.config(), model.weights(), runtime);
        Throughput compressed = new Throughput(written.config(), written.weights(), runtime)) {
      // The first run warms up.
      for (int run = -1; run < SPEED_RUNS; run++) {
        Throughput.Speed first = original.run(run);
        Throughput.Speed second = compressed.run(run);
        if (run >= 0) {
          before.add(first);
          after.add(second);
        }
      }
    }
    return new CompressionReport(
        directory,
        new CompressionReport.Side(
            weightBytes(model.directory()),
            model.config().parameters(),
            originalPerplexity,
            Throughput.Speed.median(before)),
        new CompressionReport.Side(
            weightBytes(directory),
            written.config().parameters(),
            marks.map(Fidelity.Marks::perplexity).orElse(Double.NaN),
            Throughput.Speed.median(after)),
        marks);
  }

  private static Checkpoint checkpoint(LanguageModel loaded) {
    return new Checkpoint(loaded.config(), loaded.weights());
  }

  private static long weightBytes(Path directory) {
    try (Stream<Path> files = Files.list(directory)) {
      long bytes = 0;
      for (Path file : files.toList()) {
        String name = file.getFileName().toString();
        if (name.endsWith(".safetensors") || name.endsWith(".gguf")) {
          bytes += Files.size(file);
        }
      }
      return bytes;
    } catch (IOException e) {
      throw new RefluxException(directory + ": " + e.getMessage(), e);
    }
  }

  private static void delete(Path folder) throws IOException {
    if (Files.exists(folder)) {
      try (Stream<Path> files = Files.walk(folder)) {
        for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(file);
        }
      }
    }
  }
}
